import type { Clock } from "../core/clock.ts";
import { GatewayError, toGatewayError } from "../core/errors.ts";
import {
  carryingKind,
  type MachineAddress,
  type ProbeSettings,
  type RedirectSettings,
  sameForm,
} from "../guest/addresses.ts";
import type { Means } from "./means.ts";
import { NeighbourProbe } from "./neighbour_probe.ts";
import { type Probe, probe } from "./probes.ts";
import { ReachWatch } from "./reach_watch.ts";
import { Redirect } from "./redirect.ts";
import {
  eventsTowards,
  type Fate,
  FIRST_STATE,
  type RedirectEvent,
  type RedirectSide,
  type RedirectSubject,
  replayRedirect,
} from "./state.ts";
import { type RedirectView, viewOf } from "./view.ts";
import type { RecordedEvent } from "./redirect.ts";

/** What redirects need of the ledger; `src/ledger/redirects.ts` implements it. */
export interface RedirectStore {
  createRedirect(
    redirect: {
      readonly migrationId: string;
      readonly side: RedirectSide;
      readonly guestId: string;
      readonly subject: Record<string, unknown>;
    },
    first: RedirectEvent,
  ): void;
  appendRedirect(migrationId: string, side: RedirectSide, event: RedirectEvent): void;
  redirects(): readonly {
    readonly migrationId: string;
    readonly side: RedirectSide;
    readonly guestId: string;
    readonly subject: Record<string, unknown>;
    readonly events: readonly { readonly kind: string; readonly at: string }[];
  }[];
}

export interface RedirectsDeps {
  readonly site: string;
  readonly store: RedirectStore;
  readonly clock: Clock;
  /** Makes the means of one redirect at this site. */
  readonly means: (subject: RedirectSubject) => readonly Means[];
  /** Asks machines; tests replace it. */
  readonly probe?: Probe;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/** Every redirect of this site, from the ledger and of the moves that begin. */
export class Redirects {
  readonly #all: Redirect[] = [];

  readonly #neighbours: NeighbourProbe;
  readonly #listeners = new Set<(view: RedirectView) => void>();

  constructor(private readonly deps: RedirectsDeps) {
    this.#neighbours = new NeighbourProbe(deps.clock);
  }

  /** Reads the ledger; nothing is applied yet, so that the moves can first say how they ended. */
  load(): void {
    for (const { migrationId, side, guestId, subject, events } of this.deps.store.redirects()) {
      const { peer, addresses, settings } = subject as unknown as {
        peer: string;
        addresses: MachineAddress[];
        settings: RedirectSettings;
      };
      const whole = { migration: migrationId, guest: guestId, side, peer, addresses, settings };
      const recorded = events as unknown as RecordedEvent[];
      this.#add(whole, recorded);
    }
  }

  /** After a restart: what the stages say is made so. */
  start(): void {
    for (const redirect of this.#all) {
      if (redirect.hasEnded) continue;
      redirect.start();
      redirect.resumeWait();
    }
  }

  /**
   * A move begins: its redirect is prepared.
   *
   * @throws {GatewayError} `redirect_failed`: nothing stands, the move must not begin
   */
  async prepare(subject: RedirectSubject): Promise<void> {
    const { migration, side, guest, peer, addresses, settings } = subject;
    if (this.#find(migration, side)) return;
    const first: RedirectEvent = { kind: "preparing" };
    const trial = this.#make(subject, []);
    await trial.check();
    await trial.letGo();
    this.deps.store.createRedirect({
      migrationId: migration,
      side,
      guestId: guest,
      subject: { peer, addresses, settings },
    }, first);
    const redirect = this.#add(subject, [{ ...first, at: this.#now() }]);
    redirect.start();
    await redirect.whenSettled();
    if (side === "old") await redirect.baseline();
  }

  /**
   * The operator's word on a machine that is not reached.
   *
   * @throws {GatewayError} `no_question`
   */
  answer(migration: string, keep: boolean, by: string): void {
    const redirect = this.#all.find(({ subject, state }) =>
      subject.migration === migration && state.asks
    );
    if (!redirect) {
      throw new GatewayError(
        "no_question",
        `Cannot answer ${migration}: its redirect asks nothing`,
        {
          hint: "`question` of GET /v1/redirects has what is asked",
        },
      );
    }
    redirect.answer(keep, by);
  }

  /** The machine is about to be paused. Never rejects: what fails now is done inside the pause. */
  async arm(migration: string): Promise<void> {
    await this.#find(migration, "old")?.arm();
  }

  /**
   * The machine stands still: from here on its packets lead to the other site, or wait.
   *
   * @throws {GatewayError} `redirect_failed`: the switch has to be undone
   */
  async switchOver(migration: string): Promise<void> {
    const redirect = this.#find(migration, "old");
    redirect?.write({ kind: "switched" });
    await redirect?.whenSettled();
  }

  /** The machine runs on at the old site; the move goes on. */
  switchUndone(migration: string): void {
    this.#find(migration, "old")?.write({ kind: "unswitched" });
  }

  /** What the move's journal says of the machine; the redirect catches up. Never throws. */
  follow(migration: string, side: RedirectSide, fate: Fate): void {
    const redirect = this.#find(migration, side);
    if (!redirect) return;
    try {
      for (const kind of eventsTowards(redirect.state.stage, fate)) {
        redirect.write({ kind } as RedirectEvent);
      }
      if (fate === "arrived" && side === "new") this.#collapse(redirect);
    } catch (error) {
      this.deps.log("error", `redirect of ${migration}: ${toGatewayError(error).message}`);
    }
  }

  /** Those that have not ended. */
  open(): readonly RedirectSubject[] {
    return this.#all.filter(({ hasEnded }) => !hasEnded).map(({ subject }) => subject);
  }

  /** The redirects of this site, the newest first, with what they have carried. */
  async views(): Promise<RedirectView[]> {
    return await Promise.all(
      this.#all.toReversed().map(async (redirect) => {
        const traffic = redirect.hasEnded ? redirect.lastTraffic : await redirect.traffic();
        return viewOf(redirect, this.deps.site, traffic);
      }),
    );
  }

  /** Tells each redirect whose record or figures have changed. @returns ends that */
  onChange(listener: (view: RedirectView) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** What moves of this machine would do here, by side, stage and means. */
  commands(guest: string, addresses: readonly MachineAddress[], settings: RedirectSettings) {
    return (["old", "new"] as const).flatMap((side) => {
      const subject = { migration: "dry-run", guest, side, peer: "PEER", addresses, settings };
      return this.#make(subject, []).commands().map((each) => ({ side, ...each }));
    });
  }

  /** The gateway stops: nothing is undone. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((redirect) => redirect.letGo()));
    await this.#neighbours.close();
  }

  #tell(redirect: Redirect): void {
    if (this.#listeners.size === 0) return;
    const view = viewOf(redirect, this.deps.site, redirect.lastTraffic);
    for (const listener of this.#listeners) listener(view);
  }

  /** The machine runs here: nothing of its earlier moves away from here leads it elsewhere. */
  #collapse({ subject }: Redirect): void {
    for (const other of this.#all) {
      const { guest, side, migration } = other.subject;
      if (guest !== subject.guest || migration === subject.migration || side !== "old") continue;
      other.write({ kind: "retiring", reason: "the machine runs here again" });
    }
  }

  #add(subject: RedirectSubject, events: readonly RecordedEvent[]): Redirect {
    const redirect = this.#make(subject, events);
    this.#all.push(redirect);
    return redirect;
  }

  #make(subject: RedirectSubject, events: readonly RecordedEvent[]): Redirect {
    const { site, clock, store, log } = this.deps;
    return new Redirect(
      subject,
      events,
      events.length === 0 ? FIRST_STATE : replayRedirect(events),
      {
        site,
        clock,
        means: this.deps.means(subject),
        isHome: this.#isHome(subject),
        reach: new ReachWatch(
          subject.addresses,
          probesOf(subject),
          clock,
          this.deps.probe ??
            ((ip, settings, timeoutMs) =>
              settings.kind === "neighbour"
                ? this.#neighbours.ask(ip, subject.settings.device, timeoutMs)
                : probe(ip, settings, timeoutMs)),
        ),
        record: (event) => {
          store.appendRedirect(subject.migration, subject.side, event);
          return { ...event, at: this.#now() };
        },
        changed: (redirect) => this.#tell(redirect),
        log,
      },
    );
  }

  /** Where the addresses left from first is where they belong. */
  #isHome({ guest, addresses, side }: RedirectSubject): boolean {
    const ips = new Set(addresses.map(({ ip }) => sameForm(ip)));
    const first = this.#all.find(({ subject }) =>
      subject.guest === guest && subject.addresses.some(({ ip }) => ips.has(sameForm(ip)))
    );
    return (first?.subject.side ?? side) === "old";
  }

  #find(migration: string, side: RedirectSide): Redirect | null {
    return this.#all.find(({ subject }) =>
      subject.migration === migration && subject.side === side
    ) ?? null;
  }

  #now(): string {
    return new Date(this.deps.clock.wallMs()).toISOString();
  }
}

/**
 * Where packets are carried away from, the machine is no neighbour after the move, and the gateway
 * answers for it.
 */
function probesOf({ side, settings }: RedirectSubject): ProbeSettings[] {
  const isCarriedAway = side === "old" && carryingKind(settings) !== null;
  // Of a ledger from before there were probes: none.
  return (settings.probes ?? []).filter(({ kind }) => kind !== "neighbour" || !isCarriedAway);
}
