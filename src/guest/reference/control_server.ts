import { toGatewayError } from "../../core/errors.ts";
import { encodeExtents } from "./extent_list.ts";
import type { Machine } from "./machine.ts";
import { closeQuietly, type Message, MessageReader, MessageWriter } from "./messages.ts";
import type { CallName, Params, Result } from "./protocol.ts";

/** Answers of calls are JSON, or JSON and bytes. */
class WithBody<R> {
  constructor(readonly result: R, readonly body: Uint8Array) {}
}

type Handlers = {
  [K in CallName]: (
    machine: Machine,
    params: Params<K>,
    body: Uint8Array,
  ) => Result<K> | WithBody<Result<K>> | Promise<Result<K>>;
};

/** Most that one `diskRead` may ask for. */
const READ_BYTES_MAX = 16 * 1024 * 1024;

const HANDLERS: Handlers = {
  describe: (machine) => machine.describe(),
  pause: (machine) => done(machine.pause()),
  resume: (machine) => done(machine.resume()),
  trackBegin: (machine, { bitmap }) => {
    for (const disk of machine.disks) disk.startBitmap(bitmap);
    return null;
  },
  roundBegin: (machine, { from, to, full }) => {
    for (const disk of machine.disks) {
      if (full) disk.addFullBitmap(from);
      else disk.freezeBitmap(from);
      disk.startBitmap(to);
    }
    return new WithBody(null, encodeExtents(machine.disks.map((disk) => disk.extents(from))));
  },
  roundEnd: (machine, { disk, bitmap, mergeInto }) => {
    if (mergeInto !== null) machine.disk(disk).mergeBitmap(bitmap, mergeInto);
    machine.disk(disk).endBitmap(bitmap);
    return null;
  },
  sample: (machine, { windowsMs }) => machine.sample(windowsMs),
  throttleDisks: (machine, { bytesPerSecond }) => done(machine.capDisks(bytesPerSecond)),
  dirtyDisks: (machine, { bitmap }) =>
    machine.disks.map((disk) => ({ diskId: disk.id, bytes: disk.dirtyBytes(bitmap) })),
  trackEnd: (machine, { prefix }) => {
    for (const disk of machine.disks) {
      for (const name of disk.bitmapNames) if (name.startsWith(prefix)) disk.endBitmap(name);
    }
    return null;
  },
  diskContent: (machine, { disk }) =>
    new WithBody(null, encodeExtents([machine.disk(disk).content()])),
  diskRead: (machine, { disk, offsetBytes, lengthBytes }) => {
    if (!(lengthBytes >= 0 && lengthBytes <= READ_BYTES_MAX)) {
      throw new RangeError(`one read is at most ${READ_BYTES_MAX} bytes, got ${lengthBytes}`);
    }
    const bytes = new Uint8Array(lengthBytes);
    machine.disk(disk).read(offsetBytes, bytes);
    return new WithBody(null, bytes);
  },
  diskWrite: (machine, { disk, offsetBytes }, body) =>
    done(machine.diskForGateway(disk).write(offsetBytes, body)),
  diskZero: (machine, { disk, offsetBytes, lengthBytes }) =>
    done(machine.diskForGateway(disk).zero(offsetBytes, lengthBytes)),
  diskFlush: async (machine) => {
    for (const disk of machine.disks) await disk.flush();
    return null;
  },
  disksOpen: (machine) => done(machine.openDisks()),
  disksSeal: async (machine, { bitmap }) => done(await machine.sealDisks(bitmap)),
  memoryProgress: (machine) => machine.outgoing().progress(),
  memoryBandwidth: (machine, { bytesPerSecond }) =>
    done(machine.outgoing().setBandwidth(bytesPerSecond)),
  memoryThrottle: (machine, { share }) => done(machine.outgoing().throttleCpu(share)),
  memoryGate: async (machine) => {
    await machine.outgoing().release();
    return { pausedAgoMs: machine.pausedAgoMs() };
  },
  memoryFinish: async (machine) => done(await machine.outgoing().finish()),
  memoryCancel: async (machine) => done(await machine.cancelOutgoing()),
  memoryReset: async (machine) => done(await machine.resetIncoming()),
  start: (machine) => done(machine.start()),
  verify: (machine) => machine.verify(),
  quit: () => null,
};

/** Accepts the connections of gateways and does what they ask of the machine. */
export class ControlServer {
  readonly #controls = new Set<MessageWriter>();

  /** @param quit ends the process; called after the answer to `quit` has left */
  constructor(private readonly quit: () => void) {}

  machine: Machine | null = null;

  /** Whether a gateway is attached. */
  get attended(): boolean {
    return this.#controls.size > 0;
  }

  broadcast(event: "stopped" | "resumed"): void {
    for (const control of this.#controls) void control.send({ event }).catch(() => {});
  }

  async serve(connection: Deno.Conn): Promise<void> {
    try {
      const reader = new MessageReader(connection);
      const first = await reader.next();
      const open = first?.head.open;
      const machine = this.machine;
      if (machine === null) return;
      if (open === "control" || open === "disk") await this.#serveCalls(open, connection, reader);
      else if (open === "memory-out") {
        await machine.serveOutgoing(connection, reader, {
          sendFree: first?.head.sendFree === true,
          mayThrottleCpu: first?.head.mayThrottleCpu === true,
        });
      } else if (open === "memory-in") await machine.serveIncoming(connection, reader);
    } catch (thrown) {
      const error = toGatewayError(thrown).toJSON();
      await new MessageWriter(connection).send({ error }).catch(() => {});
    } finally {
      closeQuietly(connection);
    }
  }

  async #serveCalls(
    open: "control" | "disk",
    connection: Deno.Conn,
    reader: MessageReader,
  ): Promise<void> {
    const writer = new MessageWriter(connection);
    if (open === "control") this.#controls.add(writer);
    try {
      await writer.send({ ready: true });
      for (let call = await reader.next(); call !== null; call = await reader.next()) {
        const answered = this.#answer(call, writer);
        if (open === "disk") await answered;
      }
    } finally {
      this.#controls.delete(writer);
    }
  }

  async #answer({ head, body }: Message, writer: MessageWriter): Promise<void> {
    const { id, call, params } = head;
    try {
      const handler = Object.hasOwn(HANDLERS, String(call)) && HANDLERS[call as CallName];
      if (!handler || !this.machine) throw new TypeError(`there is no call ${call}`);
      const result = await handler(this.machine, params as never, body);
      if (result instanceof WithBody) await writer.send({ id, result: result.result }, result.body);
      else await writer.send({ id, result });
    } catch (thrown) {
      const error = toGatewayError(thrown).toJSON();
      // A gateway that does not wait for its answer any more has nobody to tell.
      await writer.send({ id, error }).catch(() => {});
    }
    if (call === "quit") this.quit();
  }
}

function done(_: void): null {
  return null;
}
