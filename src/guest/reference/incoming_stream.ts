import { GatewayError, toGatewayError } from "../../core/errors.ts";
import type { MachineMemory } from "./memory.ts";
import {
  closeQuietly,
  type Message,
  type MessageReader,
  MessageWriter,
  numberIn,
} from "./messages.ts";
import { ITEM_BYTES_MAX } from "./protocol.ts";
import { PAGE_BYTES } from "./units.ts";

/** What a stream asks of the machine that it fills. */
export interface IncomingHost {
  readonly memory: MachineMemory;
  /** Memory and this state are complete. @throws {GatewayError} `memory_load_failed` */
  load(cpuState: Uint8Array): void;
  /** The stream is over, with or without a load. */
  incomingEnded(): void;
}

/** One memory stream on its way in. */
export class IncomingStream {
  readonly #writer: MessageWriter;
  #layoutSeen = false;
  #cpuState: Uint8Array | null = null;

  /** @param reader has read the connection's first message, and may have read ahead */
  constructor(
    private readonly host: IncomingHost,
    private readonly connection: Deno.Conn,
    private readonly reader: MessageReader,
  ) {
    this.#writer = new MessageWriter(connection);
  }

  async run(): Promise<void> {
    try {
      for (;;) {
        const message = await this.reader.next(ITEM_BYTES_MAX);
        if (message === null) return;
        if (this.#accept(message)) {
          await this.#writer.send({ loaded: true });
          return;
        }
      }
    } catch (thrown) {
      const error = toGatewayError(thrown).toJSON();
      await this.#writer.send({ error }).catch(() => {});
    } finally {
      closeQuietly(this.connection);
      this.host.incomingEnded();
    }
  }

  /** Drops the connection; `run` ends soon after. */
  close(): void {
    closeQuietly(this.connection);
  }

  /** @returns true when the machine is loaded */
  #accept({ head, body }: Message): boolean {
    if (head.item !== "layout" && !this.#layoutSeen) throw invalid("no layout came before it");
    switch (head.item) {
      case "layout":
        return this.#acceptLayout(head);
      case "pages":
        return this.#acceptPages(numberIn(head, "count"), body);
      case "zeros":
        return this.#acceptZeros(body);
      case "opaque":
        this.#cpuState = body;
        return false;
      case "end":
        if (!this.#cpuState) throw loadFailure("the stream has ended without a CPU state");
        this.host.load(this.#cpuState);
        return true;
      default:
        throw invalid(`items of kind ${JSON.stringify(head.item)?.slice(0, 40)} are unknown`);
    }
  }

  #acceptLayout(head: Message["head"]): boolean {
    const { lengthBytes } = this.host.memory;
    if (head.pageBytes !== PAGE_BYTES || head.lengthBytes !== lengthBytes) {
      throw invalid(`its memory has ${head.lengthBytes} bytes, this machine ${lengthBytes}`);
    }
    this.#layoutSeen = true;
    return false;
  }

  #acceptPages(count: number, body: Uint8Array): boolean {
    const { memory } = this.host;
    if (!Number.isInteger(count) || count < 1 || body.length !== count * (4 + PAGE_BYTES)) {
      throw invalid(`${body.length} bytes are not ${count} pages`);
    }
    const indexes = new Uint32Array(body.buffer, body.byteOffset, count);
    if (indexes.some((page) => page >= memory.pageCount)) throw invalid("a page is out of range");
    for (let page = 0, at = count * 4; page < count; page++, at += PAGE_BYTES) {
      memory.copyIn(indexes[page], body.subarray(at, at + PAGE_BYTES));
    }
    return false;
  }

  #acceptZeros(body: Uint8Array): boolean {
    const { memory } = this.host;
    if (body.length % 8 !== 0) throw invalid(`${body.length} bytes are not pairs of numbers`);
    const ranges = new Uint32Array(body.buffer, body.byteOffset, body.length / 4);
    for (let at = 0; at < ranges.length; at += 2) {
      const end = ranges[at] + ranges[at + 1];
      if (end > memory.pageCount) throw invalid("a range of zero pages is out of range");
      for (let page = ranges[at]; page < end; page++) memory.zero(page);
    }
    return false;
  }
}

function invalid(reason: string): GatewayError {
  return new GatewayError("memory_item_invalid", `Cannot take an item of memory: ${reason}`, {
    hint: "Check that both guests have the same definition",
  });
}

function loadFailure(reason: string): GatewayError {
  return new GatewayError("memory_load_failed", `Cannot load the machine: ${reason}`, {
    hint: "Start the move again",
  });
}
