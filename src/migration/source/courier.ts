import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import type { ImageOffer } from "../../image/page_memory.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { Changes } from "../changes.ts";
import type { Interrupt } from "../interrupt.ts";
import type { StoreOffer } from "../store.ts";
import {
  type Adjudicated,
  decodeMessage,
  encodeMessage,
  type ToDestination,
  type ToSource,
  toSource,
} from "../messages.ts";

/** An offer that is not answered within this time has not reached a working peer. */
const OFFER_TIMEOUT_MS = 30_000;
/** How long the last words of a move may take to reach the peer before its channels are closed. */
const FAREWELL_MS = 60_000;
const RETRY_MS = 1000;

type Offer = Extract<ToDestination, { type: "offer" }>;
export type OfferAnswer = Extract<ToSource, { type: "accepted" | "rejected" }>;
export type Outcome = Extract<ToSource, { type: "running" | "refused" }>;

/** An operator's word on who runs the machine; `owner` is a site's name. */
export interface Verdict {
  readonly epoch: number;
  readonly owner: string;
  readonly by: string;
  readonly reason: string;
}

/** The source's half of the control channel: says, hears, and keeps what was heard. */
export class Courier {
  prepared = false;
  /** What the destination keeps of the machine's memory, once it is prepared. */
  image: ImageOffer | null = null;
  /** Layout of memory that it has from before and is about to offer. */
  warm: Extract<ToSource, { type: "prepared" }>["warm"] = null;
  /** The destination will say what its disks hold, and round 1 waits for it. */
  diskOffer = false;
  /** What it says of its site's content store. */
  store: StoreOffer | null = null;
  recordedRound = 0;
  /** How the hand-over ended at the destination, once it said so. */
  outcome: Outcome | null = null;
  /** What keeps the destination from answering, where only an operator can end it. */
  problem: string | null = null;
  #answer: ((message: OfferAnswer) => void) | null = null;
  #control!: Channel;
  /** Wire bytes of channels that a restart of the peer has closed. */
  #earlierWireBytes = 0;

  /**
   * @param open gives the control channel; asked again after the peer restarted
   * @param changes notified after each message
   * @param onRefused a refusal; before a hand-over it ends the move
   * @param onWaiting the destination asks whether this move still goes on
   * @param onRepair it got other pages than were sent
   * @param onVerdict an operator of its site decided; resolves when that is on record here
   */
  constructor(
    private readonly open: () => Channel,
    private readonly peer: string,
    private readonly clock: Clock,
    private readonly changes: Changes,
    private readonly onRefused: (message: Extract<ToSource, { type: "refused" }>) => void,
    private readonly onWaiting: () => void,
    private readonly onRepair: (message: Extract<ToSource, { type: "repair" }>) => void,
    private readonly onVerdict: (verdict: Adjudicated) => Promise<void>,
  ) {
    this.#listen();
  }

  /** The peer restarted: its session knows nothing of the old channel. */
  reopen(): void {
    this.#earlierWireBytes = this.wireBytes;
    this.#listen();
  }

  #listen(): void {
    this.#control = this.open();
    this.#control.receive(async ({ payload }) => {
      const message = decodeMessage(toSource, payload);
      switch (message.type) {
        case "accepted":
        case "rejected":
          this.#answer?.(message);
          break;
        case "prepared":
          this.prepared = true;
          this.image = message.image;
          this.warm = message.warm;
          this.diskOffer = message.diskOffer;
          this.store = message.store;
          break;
        case "roundRecorded":
          this.recordedRound = Math.max(this.recordedRound, message.round);
          break;
        case "running":
          this.outcome = message;
          break;
        case "refused":
          this.outcome = message;
          this.onRefused(message);
          break;
        case "waiting":
          this.onWaiting();
          break;
        case "repair":
          this.onRepair(message);
          break;
        case "pending":
          this.problem = message.problem ?? null;
          break;
        case "adjudicated":
          await this.onVerdict(message);
          break;
      }
      this.changes.notify();
    });
  }

  get wireBytes(): number {
    return this.#earlierWireBytes + this.#control.wireBytes + this.#control.receivedWireBytes;
  }

  async say(message: ToDestination): Promise<void> {
    await this.#control.send(FRAME_TYPES.control, encodeMessage(message));
  }

  /** @throws {GatewayError} `peer_unreachable` when nothing answers in time */
  async offer(offer: Offer, interrupt: Interrupt): Promise<OfferAnswer> {
    const answered = new Promise<OfferAnswer>((resolve) => this.#answer = resolve);
    const waiting = new AbortController();
    const late = this.clock.sleep(OFFER_TIMEOUT_MS, waiting.signal).then((): never => {
      throw new GatewayError(
        "peer_unreachable",
        `Cannot reach ${this.peer}: the offer was not answered within ${OFFER_TIMEOUT_MS / 1000} s`,
        {
          hint: "Check that its gateway runs, its address, and that UDP passes between both sites",
        },
      );
    });
    late.catch(() => {});
    try {
      await this.say(offer);
      return await interrupt.race(Promise.race([answered, late]));
    } finally {
      this.#answer = null;
      waiting.abort();
    }
  }

  /**
   * Tells the peer an operator's verdict, across outages and restarts, until it has applied it.
   *
   * @param drop forgets the channels of a move that the peer has closed, so that it is asked anew
   */
  async deliverVerdict(guest: string, verdict: Verdict, drop: () => void): Promise<void> {
    for (;;) {
      try {
        await this.say({ type: "adjudicated", guest, ...verdict });
        return await this.#control.whenAppliedByPeer(this.#control.lastSent);
      } catch {
        await this.clock.sleep(RETRY_MS);
        drop();
        this.reopen();
      }
    }
  }

  /** Waits a while for the last words to arrive; a peer that missed them asks when it is back. */
  async farewell(waitMs = FAREWELL_MS): Promise<void> {
    const waiting = new AbortController();
    await Promise.race([
      this.#control.whenAppliedByPeer(this.#control.lastSent).catch(() => {}),
      this.clock.sleep(waitMs, waiting.signal).catch(() => {}),
    ]);
    waiting.abort();
  }
}
