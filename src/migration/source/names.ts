import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { decodeNeed, encodeNeeded, type NamingChannel } from "../../codec/need_frames.ts";
import { GatewayError } from "../../core/errors.ts";
import { hintOf } from "../../image/content_name.ts";
import type { Channel } from "../../link/peer_link.ts";
import type { StoreOffer } from "../store.ts";
import { NamedFrames } from "./named_frames.ts";
import { OfferedHints } from "./offered_hints.ts";
import type { SentHints } from "./sent_hints.ts";

/** Contents that were named and are not applied: what exceeds it travels whole. */
export const NAMED_BYTES_MAX = 16 * 1024 * 1024;
/** Names that the destination may not know before the source looks at their share. */
const NEEDED_MIN = 64;
/** A larger share of unknown names costs more round trips than the others save bytes. */
const NEEDED_SHARE_MAX = 1 / 16;

/**
 * What one move names instead of sending it: contents that the destination has offered, and those
 * that moves to this peer have had applied. A name that means nothing to the destination comes back
 * as a NEED, and is answered from what is kept here.
 */
export class SourceNames {
  readonly offered = new OfferedHints();
  readonly frames: Readonly<Record<NamingChannel, NamedFrames>>;
  /** Of contents that are kept for a NEED. */
  keptBytes = 0;
  namedCount = 0;
  neededCount = 0;
  /** The machine stands still: a round trip would add to its pause, so only what is pinned counts. */
  onlyOffered = false;

  /**
   * @param needed told of each answer: so many contents crossed after all, in so many bytes
   * @param broken told when the destination asks for what is no NEED
   */
  constructor(
    store: StoreOffer,
    private readonly sent: SentHints,
    private readonly needs: Channel,
    channels: Readonly<Record<NamingChannel, Pick<Channel, "appliedByPeer">>>,
    private readonly needed: (
      channel: NamingChannel,
      contentCount: number,
      payloadBytes: number,
    ) => void,
    broken: (error: unknown) => void,
  ) {
    sent.limitTo(store.bytesMax);
    this.frames = {
      memory: new NamedFrames(this, channels.memory, store.keepsMemory),
      disk: new NamedFrames(this, channels.disk, true),
    };
    needs.receive(({ type, payload }) => this.#answer(type, payload).catch(broken));
  }

  /** The destination is likely to have it. */
  isKnown(name: Uint32Array): boolean {
    if (this.#isMisled) return false;
    const hint = hintOf(name);
    return this.offered.has(hint) || (!this.onlyOffered && this.sent.has(hint));
  }

  get hasRoom(): boolean {
    return this.keptBytes < NAMED_BYTES_MAX;
  }

  /** The peer has applied a content that travelled itself. */
  applied(hint: number): void {
    this.sent.add(hint);
  }

  /** Takes note of what the peer has applied. */
  settle(): void {
    this.frames.memory.settle();
    this.frames.disk.settle();
  }

  get #isMisled(): boolean {
    return this.neededCount >= NEEDED_MIN &&
      this.neededCount > NEEDED_SHARE_MAX * this.namedCount;
  }

  async #answer(type: number, payload: Uint8Array): Promise<void> {
    if (type !== FRAME_TYPES.pageRequest) {
      throw new GatewayError("frame_invalid", `Cannot take a frame of type ${type} as a NEED`, {
        hint: "Check that both gateways run the same version",
      });
    }
    const { channel, number, names } = decodeNeed(payload);
    // One that was not named is answered with too few contents: the destination refuses then.
    const contents = names.map((name) => this.frames[channel].contentOf(name))
      .filter((content) => content !== null);
    const answer = encodeNeeded(number, contents);
    this.neededCount += names.length;
    this.needed(channel, contents.length, answer.byteLength);
    await this.needs.send(FRAME_TYPES.pageResponse, answer);
  }
}
