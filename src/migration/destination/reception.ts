import { toGatewayError } from "../../core/errors.ts";
import type { DiskDescription } from "../../guest/guest.ts";
import type { Channel } from "../../link/peer_link.ts";
import type { KeptAfter } from "../kept_images.ts";
import type { ToSource } from "../messages.ts";
import type { DestinationActorDeps } from "./deps.ts";
import { FrameApplier } from "./frames.ts";
import { MoveNames, sendStoreOffer } from "./names.ts";
import type { ReceivedDisks } from "./received_disks.ts";
import type { Repairs } from "./repairs.ts";

type Deps = Pick<
  DestinationActorDeps,
  "id" | "guest" | "link" | "pages" | "kept" | "store" | "clock" | "log"
>;

/** What a reception is opened with. */
export interface ReceptionSettings {
  /** As the source described them. */
  readonly sourceDisks: readonly DiskDescription[];
  readonly disks: ReceivedDisks;
  readonly repairs: Repairs;
  /** The source takes an offer of what is here of the memory from before. */
  readonly takesWarm: boolean;
  /** A disk round ended and is flushed; `bytes` were written to disks so far. */
  readonly roundEnded: (round: number, bytes: number) => Promise<void>;
  /** A frame cannot be applied. */
  readonly failed: (error: unknown) => void;
}

/**
 * What receives the frames of a move: its memory and disk channels, what applies them to the machine,
 * and what the source is offered before it sends any. The machine must be ready for them.
 */
export class Reception {
  readonly memory: Channel;
  readonly disk: Channel;
  readonly #applier: FrameApplier;

  constructor(private readonly deps: Deps, private readonly settings: ReceptionSettings) {
    const { id, guest, link, pages, kept, store, log } = deps;
    const { sourceDisks, disks, repairs, takesWarm, roundEnded } = settings;
    this.memory = link.channel(id, "memory");
    this.disk = link.channel(id, "disk");
    const tell = (message: string) => log("info", `${id}: ${message}`);
    const names = store && new MoveNames(store, link.channel(id, "pageRequest"), tell);
    const applier = this.#applier = new FrameApplier(
      guest.destination,
      sourceDisks,
      disks.held,
      { pages, kept, takesOffer: takesWarm },
      repairs,
      names,
    );
    this.memory.receive((frame) => this.#applying(() => applier.memory(frame)));
    this.disk.receive((frame) =>
      this.#applying(async () => {
        const round = await disks.apply(() => applier.disk(frame));
        if (round !== null) await roundEnded(round, applier.writtenBytes);
      })
    );
  }

  /** What is offered, and what the source may refer to. */
  get prepared(): Extract<ToSource, { type: "prepared" }> {
    const { pages, store } = this.deps;
    return {
      type: "prepared",
      image: pages.offer,
      warm: this.#applier.offered,
      diskOffer: this.settings.disks.offers,
      store: store && { bytesMax: store.bytesMax, keepsMemory: store.keepsMemory },
    };
  }

  /**
   * Sends the offers, which the source has been told of. Not awaited: reading the images takes
   * minutes, and a cancel has to be heard meanwhile.
   */
  offer(): void {
    void this.#offerMemory();
    void this.settings.disks.offer(this.disk);
  }

  /** The move ends, and nothing more is asked of the source. Idempotent. */
  stopAsking(): void {
    this.#applier.stopAsking();
  }

  /** See `FrameApplier.letGoOfMemory`. */
  letGoOfMemory(after: KeptAfter | null): void {
    this.#applier.letGoOfMemory(after);
  }

  /** The store's first: the source waits for it before it sends anything, for the other one later. */
  async #offerMemory(): Promise<void> {
    const { id, store, clock, log } = this.deps;
    if (store !== null) await sendStoreOffer(store, this.memory);
    await this.#applier.offer(this.memory, clock).catch((error) =>
      log("warn", `${id}: the offer of memory was not sent: ${toGatewayError(error).message}`)
    );
  }

  /**
   * A frame that cannot be applied is never acknowledged, nor is any after it: its handler does not
   * return. Throwing would close the control channel too, which has to carry the refusal.
   */
  async #applying(apply: () => Promise<void>): Promise<void> {
    try {
      await apply();
    } catch (error) {
      this.settings.failed(error);
      await new Promise<never>(() => {});
    }
  }
}
