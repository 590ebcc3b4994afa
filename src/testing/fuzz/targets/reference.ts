import assert from "node:assert/strict";
import { GatewayError } from "../../../core/errors.ts";
import { systemClock } from "../../../host/system_clock.ts";
import { CallChannel } from "../../../guest/reference/call_channel.ts";
import { CoreMachine } from "../../../guest/reference/core_machine.ts";
import { encodeCpuState } from "../../../guest/reference/cpu_state.ts";
import { decodeCpuState } from "../../../guest/reference/cpu_state.ts";
import { decodeExtents, encodeExtents } from "../../../guest/reference/extent_list.ts";
import { IncomingStream } from "../../../guest/reference/incoming_stream.ts";
import type { MachineConnection } from "../../../guest/reference/machine_connection.ts";
import { MachineMemory } from "../../../guest/reference/memory.ts";
import { ReferenceMemorySource } from "../../../guest/reference/memory_source.ts";
import {
  BODY_BYTES_MAX,
  type Head,
  HEAD_BYTES_MAX,
  MessageReader,
} from "../../../guest/reference/messages.ts";
import { ITEM_BYTES_MAX } from "../../../guest/reference/protocol.ts";
import { PAGE_BYTES } from "../../../guest/reference/units.ts";
import { referenceWorkload } from "../../../guest/definition.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import { fastDirectory } from "../fast_directory.ts";
import { mutateJson } from "../json_mutator.ts";
import { joinParts, mutateParts, splitParts, tagged } from "../parts.ts";
import { ScriptedConn } from "../scripted_conn.ts";
import type { FuzzTarget } from "../target.ts";
import { checkItems } from "./memory_items.ts";

const MEMORY_BYTES = 64 * PAGE_BYTES;
const SHAPE = { pageCount: 64, diskBlockCounts: [] as number[] };
const WORKLOAD = referenceWorkload.parse({});
const encoder = new TextEncoder();

/** A part is a message: u16 length of its head, head, body. */
function part(head: Head, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  return partOf(encoder.encode(JSON.stringify(head)), body);
}

function partOf(head: Uint8Array, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + head.length + body.length);
  bytes.set([head.length >>> 8, head.length]);
  bytes.set(head, 2);
  bytes.set(body, 2 + head.length);
  return bytes;
}

function opened(bytes: Uint8Array): { head: Uint8Array; body: Uint8Array } {
  const length = bytes[0] << 8 | bytes[1];
  return { head: bytes.subarray(2, 2 + length), body: bytes.subarray(2 + length) };
}

/** The stream of some parts, with the lengths that it needs in front of each message. */
function streamOf(parts: readonly Uint8Array[]): Uint8Array {
  const messages = parts.map((each) => {
    const { head, body } = opened(each);
    const bytes = new Uint8Array(8 + head.length + body.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, head.length, true);
    view.setUint32(4, body.length, true);
    bytes.set(head, 8);
    bytes.set(body, 8 + head.length);
    return bytes;
  });
  const stream = new Uint8Array(messages.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const message of messages) {
    stream.set(message, at);
    at += message.length;
  }
  return stream;
}

function mutateMessages(fresh: (dice: Dice) => Uint8Array) {
  return (input: Uint8Array, dice: Dice, others: readonly Uint8Array[]) =>
    mutateParts(
      input,
      dice,
      (each) => {
        const { head, body } = opened(each);
        // The state of a processor is JSON.
        if (body[0] === 0x7b && dice.chance(0.8)) {
          return partOf(head, mutateJson(body, dice, [], ["registers", "workload"]));
        }
        return dice.chance(0.6)
          ? partOf(mutateJson(head, dice, [], ["item", "count", "error", "result", "id"]), body)
          : partOf(head, mutateBytes(body, dice, others));
      },
      () => fresh(dice),
    );
}

/** Messages by themselves, their lengths included. */
export function referenceMessages(): FuzzTarget {
  return {
    name: "reference-messages",
    reads: "messages between gateway and reference machine (src/guest/reference/messages.ts)",
    codes: ["frame_invalid", "frame_too_long"],
    form: "bytes",
    bufferBytesMax: 2 * (HEAD_BYTES_MAX + BODY_BYTES_MAX),
    heapBytesMax: 4 * BODY_BYTES_MAX,
    testExecutions: 2_500,
    generate: (dice) =>
      tagged(
        dice.below(256),
        streamOf(Array.from({ length: dice.between(1, 4) }, () => anyItem(dice))),
      ),
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    async run(input) {
      const { conn } = new ScriptedConn(input.subarray(1), input[0] ?? 0);
      const reader = new MessageReader(conn);
      let messages = 0;
      for (let next = await reader.next(); next !== null; next = await reader.next()) {
        assert.ok(next.body.length <= BODY_BYTES_MAX && typeof next.head === "object");
        messages++;
      }
      return `${Math.min(4, messages)} messages`;
    },
  };
}

function anyItem(dice: Dice): Uint8Array {
  const count = dice.between(1, 3);
  switch (dice.below(6)) {
    case 0:
      return part({ item: "layout", pageBytes: PAGE_BYTES, lengthBytes: MEMORY_BYTES });
    case 1: {
      const body = new Uint8Array(count * (4 + PAGE_BYTES));
      body.set(new Uint8Array(Uint32Array.from({ length: count }, () => dice.below(64)).buffer));
      return part({ item: "pages", count }, body);
    }
    case 2: {
      const ranges = Array.from({ length: count }, () => [dice.below(60), dice.between(1, 4)]);
      return part({ item: "zeros" }, new Uint8Array(Uint32Array.from(ranges.flat()).buffer));
    }
    case 3:
      return part({ item: "opaque" }, cpuState());
    case 4:
      return part({ item: "end" });
    default:
      return part({ error: { code: "guest_state", message: "x", hint: "y" } });
  }
}

function anyStream(dice: Dice): Uint8Array {
  const layout = part({ item: "layout", pageBytes: PAGE_BYTES, lengthBytes: MEMORY_BYTES });
  const items = Array.from({ length: dice.between(0, 5) }, () => anyItem(dice));
  return joinParts([layout, ...items, part({ item: "opaque" }, cpuState()), part({ item: "end" })]);
}

function cpuState(): Uint8Array {
  return encodeCpuState(new CoreMachine(MEMORY_BYTES, [], WORKLOAD));
}

/** Both ends of a memory stream: the gateway's, which takes it, and the machine's, which loads it. */
export function referenceStream(): FuzzTarget {
  const clock = systemClock();
  return {
    name: "reference-stream",
    reads: "memory streams of the reference machine, at either end (src/guest/reference)",
    codes: [
      "frame_invalid",
      "frame_too_long",
      "guest_state",
      "internal",
      "memory_item_invalid",
      "memory_stream_failed",
    ],
    form: "bytes",
    bufferBytesMax: 64 * ITEM_BYTES_MAX,
    testExecutions: 800,
    generate: anyStream,
    mutate: mutateMessages(anyItem),
    async run(input) {
      const stream = streamOf(splitParts(input, 32));
      const loaded = await load(stream, input.length);
      const machine = {
        openStream: () => Promise.resolve(new ScriptedConn(stream, input.length).conn),
        lossError: () =>
          Promise.resolve(new GatewayError("memory_stream_failed", "lost", { hint: "" })),
      } as unknown as MachineConnection;
      const source = await ReferenceMemorySource.open(machine, clock, {});
      const kinds = new Set<string>();
      let layout: Parameters<typeof checkItems>[1] = null;
      for await (const items of source.items()) {
        const checked = checkItems(items, layout);
        layout = checked.layout;
        for (const kind of checked.kinds) kinds.add(kind);
      }
      return `${loaded} ${[...kinds].sort().join(" ")}`;
    },
  };
}

/** The machine's end. It tells what is wrong, and never goes down. */
async function load(stream: Uint8Array, way: number): Promise<string> {
  let loaded: CoreMachine | null = null;
  const { conn } = new ScriptedConn(stream, way);
  const host = {
    memory: new MachineMemory(MEMORY_BYTES),
    load(bytes: Uint8Array) {
      const { workload, registers } = decodeCpuState(bytes, SHAPE);
      const core = new CoreMachine(MEMORY_BYTES, [], WORKLOAD);
      core.load(workload, registers);
      loaded = core;
    },
    incomingEnded: () => {},
  };
  await new IncomingStream(host, conn, new MessageReader(conn)).run();
  // What it was given may be another machine's state, and has to run all the same.
  for (let ticks = 0; ticks < 3; ticks++) {
    (loaded as CoreMachine | null)?.stepMemory();
    (loaded as CoreMachine | null)?.stepDisks();
  }
  return loaded === null ? "nothing" : "loaded";
}

/** Answers of a machine to the gateway's calls, over its socket. */
export async function referenceCalls(): Promise<FuzzTarget> {
  const directory = await fastDirectory();
  const path = `${directory}/machine.sock`;
  const listener = Deno.listen({ transport: "unix", path });
  let bytes = new Uint8Array();
  const serving = (async () => {
    for await (const conn of listener) void answer(conn, bytes).catch(() => {});
  })();
  return {
    name: "reference-calls",
    reads: "a reference machine's answers to calls, and lists of extents (src/guest/reference)",
    codes: ["guest_unreachable", "guest_gone", "guest_state", "internal", "frame_invalid"],
    form: "bytes",
    bufferBytesMax: 8 * 2 ** 20,
    testExecutions: 300,
    generate: (dice) => {
      const extents = [{ offsetBytes: 0, lengthBytes: 4096, kind: "data" as const }];
      const body = encodeExtents([extents, dice.chance(0.5) ? [] : extents]);
      const error = { code: "guest_state", message: "x", hint: "y" };
      return joinParts([
        part({ ready: true }),
        part({ event: "stopped" }),
        dice.chance(0.7) ? part({ id: 1, result: null }, body) : part({ id: 1, error }),
        part({ id: 2, result: { pid: 5 } }),
      ]);
    },
    mutate: mutateMessages((dice) => part({ id: dice.below(4), result: dice.below(9) })),
    async run(input) {
      bytes = new Uint8Array(streamOf(splitParts(input, 16)));
      const lost = () =>
        Promise.resolve(new GatewayError("guest_gone", "its process has ended", { hint: "" }));
      const opened = CallChannel.open(
        path,
        "control",
        () => {},
        lost,
        new AbortController().signal,
      );
      const channel = await opened;
      assert.ok(channel !== null);
      try {
        const { body } = await channel.call("roundBegin", { from: "a", to: "b", full: true });
        const disks = decodeExtents(body);
        for (const { offsetBytes, lengthBytes } of disks.flat()) {
          assert.ok(Number.isSafeInteger(offsetBytes) && offsetBytes >= 0);
          assert.ok(Number.isSafeInteger(lengthBytes) && lengthBytes > 0);
        }
        await channel.call("describe", {});
        return `${disks.length} disks`;
      } finally {
        channel.close();
        await channel.closed;
      }
    },
    async close() {
      listener.close();
      await serving;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

const SILENCE_MS = 20;

/** Says that it is ready, the rest once it is called, and leaves with the next call or the gateway. */
async function answer(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  const buffer = new Uint8Array(4096);
  const first = 8 + (bytes.length < 8 ? 0 : new DataView(bytes.buffer).getUint32(0, true));
  try {
    for (const part of [bytes.subarray(0, first), bytes.subarray(first)]) {
      // A gateway that is not told that the machine is ready calls nothing.
      const heard = await Promise.race([conn.read(buffer), systemClock().sleep(SILENCE_MS)]);
      if (heard === null) return;
      for (let at = 0; at < part.length;) at += await conn.write(part.subarray(at));
    }
    await Promise.race([conn.read(buffer), systemClock().sleep(SILENCE_MS)]);
  } finally {
    conn.close();
  }
}
