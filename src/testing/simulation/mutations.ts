import type { Guest } from "../../guest/guest.ts";
import type { Ledger } from "../../ledger/ledger.ts";
import { LinkChannel } from "../../link/link_channel.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { SimGuest } from "./guest.ts";
import type { Mutation } from "./mutation.ts";
import type { Site } from "./site.ts";
import type { World } from "./world.ts";

type Handler = Parameters<LinkChannel["receive"]>[0];
type Frame = Parameters<Handler>[0];

/** How long a record that should be durable first lies in memory. */
const LATE_RECORD_MS = 400;
const LOOK_MS = 50;

/** Every deliberate bug: what it is, as the table of results has it. */
export const MUTATIONS: readonly Mutation[] = [
  {
    name: "the source resumes when the link drops in its switch",
    patch: (world) => {
      watchLink(world);
      return () => {};
    },
  },
  {
    name: "the source resumes after a restart without a refusal",
    ledger: (ledger) => ({ ...ledger, events: (id) => withoutHandover(ledger.events(id)) }),
  },
  {
    name: "the hand-over is sent before it is written",
    ledger: (ledger, site) => lateHandover(ledger, site),
  },
  {
    name: "the destination starts the machine before its owner record",
    guest: (guest) =>
      changed(guest, {
        destination: {
          load: async () => {
            await guest.destination.load();
            await guest.destination.start();
          },
        },
      }),
  },
  {
    name: "a refusal does not use its epoch up",
    ledger: (ledger) => ({
      ...ledger,
      append: (id, event, ownership) =>
        ledger.append(id, event, isRefusal(event.kind) ? undefined : ownership),
      claim: (ownership) => ownership.owner === null ? undefined : ledger.claim(ownership),
    }),
  },
  {
    name: "frames are acknowledged before they are applied",
    patch: () =>
      patchReceive((handler) => {
        let applied: Promise<void> = Promise.resolve();
        return (frame) => {
          applied = applied.then(() => handler(frame));
          applied.catch(() => {});
          return Promise.resolve();
        };
      }),
  },
  {
    name: "the machine is loaded before every frame is applied",
    patch: () => {
      const original = LinkChannel.prototype.whenAppliedHere;
      LinkChannel.prototype.whenAppliedHere = () => Promise.resolve();
      return () => void (LinkChannel.prototype.whenAppliedHere = original);
    },
  },
  {
    name: "a frame is applied a second time after the next one",
    patch: () =>
      patchReceive((handler) => {
        let last: Frame | null = null;
        return async (frame) => {
          await handler(frame);
          if (frame.type !== FRAME_TYPES.diskBatch) return;
          if (last !== null) await handler(last);
          last = frame;
        };
      }),
  },
  {
    name: "a disk round is recorded without a flush",
    guest: (guest) => changed(guest, { destination: { flushDisks: () => Promise.resolve() } }),
  },
  {
    name: "the disks are sealed without a flush",
    guest: (guest) =>
      changed(guest, {
        destination: {
          sealDisks: () =>
            guest.call("destination.sealDisks", () => void (guest.machine.disksAreOpen = false)),
        },
      }),
  },
  {
    name: "what a given up move wrote is kept without a flush",
    patch: () => {
      roundEnds = 0;
      return patchReceive((handler) => async (frame) => {
        const isRoundEnd = frame.type === FRAME_TYPES.diskRoundEnd;
        if (isRoundEnd) roundEnds++;
        await handler(frame);
        if (isRoundEnd) roundEnds--;
      });
    },
    guest: (guest) => {
      // What an earlier process was handling never ends.
      roundEnds = 0;
      return changed(guest, {
        destination: {
          flushDisks: () => roundEnds > 0 ? guest.destination.flushDisks() : Promise.resolve(),
        },
      });
    },
  },
  {
    name: "writes that fall between two disk rounds are in neither",
    guest: (guest) =>
      changed(guest, {
        source: {
          beginDiskRound: async () => {
            const rounds = await guest.source.beginDiskRound();
            await guest.call("source.lateSwap", () => {
              for (const { bitmaps } of guest.machine.disks) [...bitmaps.values()].at(-1)?.clear();
            });
            return rounds;
          },
        },
      }),
  },
  {
    name: "the source takes PENDING for RUNNING",
    patch: () =>
      patchReceive((handler) => (frame) => {
        if (frame.type !== FRAME_TYPES.control) return handler(frame);
        const text = new TextDecoder().decode(frame.payload);
        if (!text.includes('"type":"pending"')) return handler(frame);
        const message = { ...JSON.parse(text), type: "running", loadMs: null };
        return handler({ ...frame, payload: new TextEncoder().encode(JSON.stringify(message)) });
      }),
  },
  {
    name: "the destination runs on after a verdict against it",
    guest: (guest, site) => {
      const arrived = () => site.ledger.migrations().at(-1)?.side === "destination";
      return changed(guest, {
        source: { pause: () => arrived() ? Promise.resolve() : guest.source.pause() },
      });
    },
  },
];

/** Ends of rounds that are being handled. */
let roundEnds = 0;

/** `guest` with some of its methods replaced. */
function changed(
  guest: SimGuest,
  { source = {}, destination = {} }: {
    readonly source?: Partial<Guest["source"]>;
    readonly destination?: Partial<Guest["destination"]>;
  },
): Guest {
  const over = <T extends object>(target: T, own: object): T =>
    new Proxy(target, {
      get: (_, key) => {
        const member = Reflect.get(own, key) ?? Reflect.get(target, key);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
  return over<Guest>(guest, {
    source: over(guest.source, source),
    destination: over(guest.destination, destination),
  });
}

/** Every channel's handler goes through `change`. @returns puts it back */
function patchReceive(change: (handler: Handler) => Handler): () => void {
  const original = LinkChannel.prototype.receive;
  LinkChannel.prototype.receive = function (handler) {
    original.call(this, change(handler));
  };
  return () => void (LinkChannel.prototype.receive = original);
}

/** A source that has given its machine away and finds nobody to hand it to runs it again. */
function watchLink(world: World): void {
  const look = () => {
    for (const site of Object.values(world.sites)) {
      const { machine } = site;
      const isDown = world.network.isOut || !world.network.hasConnections;
      if (site.isUp && isDown && machine?.runState === "postmigrate") machine.run();
    }
    world.schedule.at(LOOK_MS, look);
  };
  world.schedule.at(LOOK_MS, look);
}

function withoutHandover(events: ReturnType<Ledger["events"]>) {
  const decisions = events.filter(({ kind }) => kind !== "noted");
  if (decisions.at(-1)?.kind !== "handoverWritten") return events;
  return events.filter(({ kind }) => kind !== "handoverWritten");
}

function lateHandover(ledger: Ledger, site: Site): Ledger {
  const { process } = site;
  let late: (() => void) | null = null;
  const write = () => {
    const pending = late;
    late = null;
    pending?.();
  };
  return {
    ...ledger,
    append: (id, event, ownership) => {
      if (event.kind === "handoverWritten") {
        late = () => ledger.append(id, event, ownership);
        process!.later(LATE_RECORD_MS, () => {
          try {
            write();
          } catch {
            // Nobody waits for it any more: it is lost.
          }
        });
        return;
      }
      write();
      ledger.append(id, event, ownership);
    },
  };
}

function isRefusal(kind: string): boolean {
  return kind === "refused" || kind === "refusedByPeer" || kind === "noted";
}
