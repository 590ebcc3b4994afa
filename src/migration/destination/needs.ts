import { batchInvalid } from "../../codec/bytes.ts";
import { type NamedContents, NamesMissing } from "../../codec/named_items.ts";
import {
  decodeNeeded,
  encodeNeed,
  type NamingChannel,
  NEED_NAMES_MAX,
} from "../../codec/need_frames.ts";
import { GatewayError } from "../../core/errors.ts";
import {
  isSameName,
  nameBuffer,
  nameContent,
  nameKey,
  UNIT_BYTES,
} from "../../image/content_name.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { MoveStore } from "../store.ts";

/** Asks the source for contents whose names mean nothing here; serves both channels that name. */
export class Needs {
  /** Contents that had to be asked for. */
  count = 0;
  #nextNumber = 1;
  #isClosed = false;
  readonly #waiting = new Map<number, PromiseWithResolvers<Uint8Array[]>>();

  constructor(private readonly channel: Channel) {
    channel.receive(({ type, payload }) => {
      try {
        this.#answered(type, payload);
      } catch (error) {
        // Thrown from here it would close the control channel, which has to carry the refusal.
        this.#giveUp(error);
      }
      return Promise.resolve();
    });
  }

  /** The move ends: what is asked for will not come. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#giveUp(moveEnds());
  }

  #giveUp(error: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  /**
   * @returns contents by the keys of their names; each was named again and found right
   * @throws {GatewayError} `batch_invalid` where the source has not what it named, or sent another;
   *   `link_closed` where the move ends meanwhile
   */
  async ask(
    channel: NamingChannel,
    names: readonly Uint32Array[],
  ): Promise<Map<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>();
    const missing = [...new Map(names.map((name) => [nameKey(name), name])).values()];
    const name = nameBuffer();
    for (let first = 0; first < missing.length; first += NEED_NAMES_MAX) {
      const asked = missing.slice(first, first + NEED_NAMES_MAX);
      this.count += asked.length;
      const contents = await this.#request(channel, asked);
      if (contents.length !== asked.length) {
        throw batchInvalid("it names contents that its source does not have");
      }
      asked.forEach((each, i) => {
        nameContent(contents[i], name);
        if (!isSameName(name, each)) throw batchInvalid("a content is not what its name says");
        found.set(nameKey(each), contents[i]);
      });
    }
    return found;
  }

  async #request(channel: NamingChannel, names: readonly Uint32Array[]): Promise<Uint8Array[]> {
    if (this.#isClosed) throw moveEnds();
    const number = this.#nextNumber++;
    const answer = Promise.withResolvers<Uint8Array[]>();
    this.#waiting.set(number, answer);
    answer.promise.catch(() => {});
    await this.channel.send(FRAME_TYPES.pageRequest, encodeNeed({ channel, number, names }));
    return await answer.promise;
  }

  #answered(type: number, payload: Uint8Array): void {
    if (type !== FRAME_TYPES.pageResponse) {
      throw new GatewayError("frame_invalid", `Cannot take a frame of type ${type} as an answer`, {
        hint: "Check that both gateways run the same version",
      });
    }
    const { number, contents } = decodeNeeded(payload);
    this.#waiting.get(number)?.resolve(contents);
    this.#waiting.delete(number);
  }
}

function moveEnds(): GatewayError {
  return new GatewayError("link_closed", "Cannot ask for contents: the move ends", {
    hint: "Look at why the move has ended",
  });
}

/**
 * Contents for the names of one channel: from the store, or from the source. What arrives whole goes
 * into the store.
 */
export class ArrivingNames implements NamedContents {
  readonly #fetched = new Map<string, Uint8Array>();

  constructor(
    private readonly channel: NamingChannel,
    private readonly store: MoveStore,
    private readonly needs: Needs,
  ) {}

  resolve(name: Uint32Array, into: Uint8Array): boolean {
    if (into.byteLength !== UNIT_BYTES) throw batchInvalid("it names contents of another size");
    const fetched = this.#fetched.size === 0 ? undefined : this.#fetched.get(nameKey(name));
    if (fetched === undefined) return this.store.get(name, into);
    into.set(fetched);
    return true;
  }

  arrived(content: Uint8Array): void {
    if (content.byteLength === UNIT_BYTES) this.store.put(this.channel, content);
  }

  /**
   * Decodes a batch that may name contents, with a NEED in between where some are missing.
   *
   * @param decode has no effect where it throws `NamesMissing`
   */
  async complete<T>(decode: () => T): Promise<T> {
    try {
      for (;;) {
        try {
          return decode();
        } catch (thrown) {
          // Again where the store has lost meanwhile what it had at first.
          if (!(thrown instanceof NamesMissing)) throw thrown;
          for (const [key, content] of await this.needs.ask(this.channel, thrown.names)) {
            this.#fetched.set(key, content);
            this.arrived(content);
          }
        }
      }
    } finally {
      this.#fetched.clear();
    }
  }
}
