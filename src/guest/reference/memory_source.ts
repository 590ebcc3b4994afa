import { GatewayError } from "../../core/errors.ts";
import type { Clock } from "../../core/clock.ts";
import { checkCpuThrottle } from "../throttles.ts";
import type { MemoryProgress, MemorySource, MoveOptions } from "../guest.ts";
import type { MemoryItem } from "../memory_items.ts";
import { errorFromHead } from "./call_channel.ts";
import type { MachineConnection } from "./machine_connection.ts";
import { closeQuietly, type Message, MessageReader, MessageWriter } from "./messages.ts";
import { ITEM_BYTES_MAX } from "./protocol.ts";

/** The gateway's end of an outgoing memory stream. */
export class ReferenceMemorySource implements MemorySource {
  #cancelled = false;
  #complete = false;

  private constructor(
    private readonly machine: MachineConnection,
    private readonly clock: Clock,
    private readonly connection: Deno.UnixConn,
    private readonly reader: MessageReader,
    private readonly mayThrottleCpu: boolean,
    private first: Message | null,
  ) {}

  static async open(
    machine: MachineConnection,
    clock: Clock,
    options: Pick<MoveOptions, "sendFree" | "mayThrottleCpu">,
  ): Promise<ReferenceMemorySource> {
    const connection = await machine.openStream();
    const reader = new MessageReader(connection);
    const { sendFree = false, mayThrottleCpu = false } = options;
    await new MessageWriter(connection).send({ open: "memory-out", sendFree, mayThrottleCpu });
    const first = await reader.next(ITEM_BYTES_MAX);
    if (first !== null && first.head.error === undefined) {
      return new ReferenceMemorySource(machine, clock, connection, reader, mayThrottleCpu, first);
    }
    closeQuietly(connection);
    throw first === null ? await machine.lossError() : errorFromHead(first.head.error);
  }

  async *items(): AsyncGenerator<MemoryItem[]> {
    while (!this.#complete) {
      const message = this.first ?? await this.reader.next(ITEM_BYTES_MAX);
      this.first = null;
      if (message === null) {
        if (this.#cancelled) return;
        throw await this.#failure();
      }
      if (message.head.item === "end") {
        await this.#acknowledge();
        return;
      }
      yield [decodeItem(message)];
    }
  }

  async progress(): Promise<MemoryProgress> {
    return await this.machine.call("memoryProgress", {});
  }

  async setBandwidth(bytesPerSecond: number): Promise<void> {
    if (!(bytesPerSecond > 0)) {
      throw new RangeError(`bandwidth must be positive, got ${bytesPerSecond}`);
    }
    await this.machine.call("memoryBandwidth", { bytesPerSecond });
  }

  async throttleCpu(share: number): Promise<void> {
    checkCpuThrottle(share, this.mayThrottleCpu);
    await this.machine.call("memoryThrottle", { share });
  }

  async pauseAtGate(): Promise<{ pausedAtMs: number }> {
    const { pausedAgoMs } = await this.machine.call("memoryGate", {});
    return { pausedAtMs: this.clock.nowMs() - pausedAgoMs };
  }

  async finish(): Promise<void> {
    await this.machine.call("memoryFinish", {});
  }

  /** After `finish` there is nothing left to cancel: only `restore` lets a machine run again then. */
  async cancel(): Promise<void> {
    if (this.#complete || this.#cancelled) return;
    this.#cancelled = true;
    try {
      await this.machine.call("memoryCancel", {});
    } finally {
      closeQuietly(this.connection);
    }
  }

  /** Lets go of the connection without a word, as a crash of the gateway would. */
  drop(): void {
    this.#cancelled = true;
    closeQuietly(this.connection);
  }

  /** The machine is `postmigrate` only once it has read this. */
  async #acknowledge(): Promise<void> {
    try {
      await new MessageWriter(this.connection).send({ ack: true });
    } catch {
      throw await this.#failure();
    }
    this.#complete = true;
    closeQuietly(this.connection);
  }

  async #failure(): Promise<GatewayError> {
    closeQuietly(this.connection);
    const loss = await this.machine.lossError();
    if (loss.code === "guest_gone") return loss;
    return new GatewayError("memory_stream_failed", "Cannot read the memory stream: it was lost", {
      hint: "The machine runs on; start the move again",
    });
  }
}

function decodeItem({ head, body }: Message): MemoryItem {
  switch (head.item) {
    case "layout": {
      const lengthBytes = Number(head.lengthBytes);
      const blocks = [{ name: "ram", lengthBytes }];
      return { kind: "layout", pageBytes: Number(head.pageBytes), section: 0, blocks };
    }
    case "pages": {
      const count = Number(head.count);
      const pageIndexes = new Uint32Array(body.buffer, body.byteOffset, count);
      return { kind: "pages", block: 0, pageIndexes, contents: body.subarray(count * 4) };
    }
    case "zeros": {
      const ranges = new Uint32Array(body.buffer, body.byteOffset, body.length / 4);
      return { kind: "zeros", block: 0, ranges };
    }
    case "opaque":
      return { kind: "opaque", bytes: body };
    default:
      throw new GatewayError("frame_invalid", `Cannot read memory item ${head.item}`, {
        hint: "Check that gateway and machine are of the same version",
      });
  }
}
