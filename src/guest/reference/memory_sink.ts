import { GatewayError } from "../../core/errors.ts";
import type { MemoryItem } from "../memory_items.ts";
import { errorFromHead } from "./call_channel.ts";
import type { MachineConnection } from "./machine_connection.ts";
import { closeQuietly, type Message, MessageReader, MessageWriter } from "./messages.ts";
import { ITEM_PAGES_MAX, ITEM_RANGES_MAX } from "./protocol.ts";

/** The gateway's end of an incoming memory stream. */
export class MemorySink {
  readonly #writer: MessageWriter;
  /** The only thing that the machine says: loaded, or why not. */
  readonly #verdict: Promise<Message | null>;
  #pageBytes = 0;

  private constructor(
    private readonly machine: MachineConnection,
    private readonly connection: Deno.UnixConn,
  ) {
    this.#writer = new MessageWriter(connection);
    this.#verdict = new MessageReader(connection).next().catch(() => null);
  }

  static async open(machine: MachineConnection): Promise<MemorySink> {
    const sink = new MemorySink(machine, await machine.openStream());
    await sink.#send({ open: "memory-in" });
    return sink;
  }

  /** Calls must not overlap. */
  async write(items: readonly MemoryItem[]): Promise<void> {
    for (const item of items) await this.#writeItem(item);
  }

  /** Gives the stream its end; resolves when the machine is loaded and paused. */
  async end(): Promise<void> {
    await this.#send({ item: "end" });
    const verdict = await this.#verdict;
    closeQuietly(this.connection);
    if (verdict?.head.loaded !== true) throw await this.#failure();
  }

  close(): void {
    closeQuietly(this.connection);
  }

  async #writeItem(item: MemoryItem): Promise<void> {
    switch (item.kind) {
      case "layout": {
        const block = item.blocks[0];
        if (item.blocks.length !== 1 || block.name !== "ram") {
          throw invalid("its memory is not one block named ram");
        }
        this.#pageBytes = item.pageBytes;
        const { lengthBytes } = block;
        await this.#send({ item: "layout", pageBytes: item.pageBytes, lengthBytes });
        break;
      }
      case "pages":
        await this.#writePages(item);
        break;
      case "zeros":
        if (item.block !== 0) throw invalid(`there is no block ${item.block}`);
        for (let at = 0; at < item.ranges.length; at += 2 * ITEM_RANGES_MAX) {
          const ranges = item.ranges.slice(at, at + 2 * ITEM_RANGES_MAX);
          await this.#send({ item: "zeros" }, new Uint8Array(ranges.buffer));
        }
        break;
      case "opaque":
        await this.#send({ item: "opaque" }, item.bytes);
    }
  }

  async #writePages(item: MemoryItem & { kind: "pages" }): Promise<void> {
    const pageBytes = this.#pageBytes;
    if (item.block !== 0) throw invalid(`there is no block ${item.block}`);
    if (item.contents.length !== item.pageIndexes.length * pageBytes) {
      throw invalid(`${item.contents.length} bytes are not ${item.pageIndexes.length} pages`);
    }
    for (let first = 0; first < item.pageIndexes.length; first += ITEM_PAGES_MAX) {
      const indexes = item.pageIndexes.slice(first, first + ITEM_PAGES_MAX);
      const count = indexes.length;
      const contents = item.contents.subarray(first * pageBytes, (first + count) * pageBytes);
      await this.#send({ item: "pages", count }, new Uint8Array(indexes.buffer), contents);
    }
  }

  async #send(head: Record<string, unknown>, ...body: Uint8Array[]): Promise<void> {
    try {
      await this.#writer.send(head, ...body);
    } catch {
      throw await this.#failure();
    }
  }

  async #failure(): Promise<GatewayError> {
    const verdict = await this.#verdict;
    closeQuietly(this.connection);
    if (verdict?.head.error !== undefined) return errorFromHead(verdict.head.error);
    const loss = await this.machine.lossError();
    if (loss.code === "guest_gone") return loss;
    return new GatewayError("memory_load_failed", "Cannot feed the memory stream: it was lost", {
      hint: "Start the move again",
    });
  }
}

function invalid(reason: string): GatewayError {
  return new GatewayError("memory_item_invalid", `Cannot take an item of memory: ${reason}`, {
    hint: "Check that both guests have the same definition",
  });
}
