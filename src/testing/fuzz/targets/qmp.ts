import assert from "node:assert/strict";
import { GatewayError } from "../../../core/errors.ts";
import { systemClock } from "../../../host/system_clock.ts";
import { ask, migrateAnswer } from "../../../qemu/answers.ts";
import { describeMachine } from "../../../qemu/describe.ts";
import { connectQmp, type QmpClient } from "../../../qemu/qmp/client.ts";
import { LineDecoder } from "../../../qemu/qmp/line_decoder.ts";
import { parseQmpMessage } from "../../../qemu/qmp/messages.ts";
import { readSettings } from "../../../qemu/settings.ts";
import { readSourceNotes } from "../../../qemu/notes.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import { mutateJson } from "../json_mutator.ts";
import { chunksOf, joinParts, mutateParts, splitParts } from "../parts.ts";
import { fastDirectory } from "../fast_directory.ts";
import type { FuzzTarget } from "../target.ts";

const encoder = new TextEncoder();
const GREETING = {
  QMP: { version: { qemu: { micro: 2, minor: 0, major: 10 }, package: "" }, capabilities: ["oob"] },
};
const LINES: readonly unknown[] = [
  GREETING,
  { return: {}, id: 1 },
  { id: 2, error: { class: "GenericError", desc: "no such device" } },
  { timestamp: { seconds: 1, microseconds: 2 }, event: "STOP" },
  { event: "MIGRATION", data: { status: "completed" } },
  { return: [{ name: "x", type: "child<pc>" }], id: 3 },
];

/** A short limit shows what a long line does as well as the real one. */
const LINE_BYTES_MAX = 64 * 1024;

/** Lines of a monitor at any chunking, and what they are. */
export function qmpLines(): FuzzTarget {
  return {
    name: "qmp-lines",
    reads: "lines of a hypervisor's monitor at any chunking (src/qemu/qmp)",
    codes: ["qmp_protocol"],
    form: "text",
    bufferBytesMax: 32 * 2 ** 20,
    testExecutions: 4_000,
    generate: (dice) =>
      encoder.encode(
        Array.from({ length: dice.between(1, 5) }, () => JSON.stringify(dice.pick(LINES)) + "\r\n")
          .join(""),
      ),
    mutate(input, dice, others) {
      if (dice.chance(0.03)) return new Uint8Array(LINE_BYTES_MAX + dice.below(3)).fill(0x20);
      const lines = new TextDecoder().decode(input).split("\n");
      const at = dice.below(lines.length);
      if (dice.chance(0.3)) return mutateBytes(input, dice, others);
      lines[at] = new TextDecoder().decode(mutateJson(encoder.encode(lines[at]), dice, []));
      return encoder.encode(lines.join("\n"));
    },
    run(input) {
      const lines = decode(input, 0);
      for (const way of [1, 2 + input.length * 7]) {
        assert.deepEqual(decode(input, way), lines, "however it was cut");
      }
      if (lines instanceof GatewayError) throw lines;
      return [...new Set(lines.map((line) => parseQmpMessage(line).kind))].sort().join(" ");
    },
  };
}

function decode(input: Uint8Array, way: number): string[] | GatewayError {
  const decoder = new LineDecoder(LINE_BYTES_MAX);
  const lines: string[] = [];
  try {
    for (const chunk of chunksOf(input, way)) lines.push(...decoder.push(chunk));
    return lines;
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
}

/** What the commands that describe a machine are answered, by their names. */
const ANSWERS = {
  "query-status": { status: "running", running: true, singlestep: false },
  "query-memory-size-summary": { "base-memory": 2 ** 28, "plugged-memory": 0 },
  "qom-get": "pc-i440fx-10.0-machine",
  "query-block": [{
    device: "virtio0",
    qdev: "/machine/peripheral/vd0/virtio-backend",
    removable: false,
    inserted: {
      "node-name": "#block1",
      drv: "qcow2",
      ro: false,
      file: "/disk.qcow2",
      image: {
        "virtual-size": 2 ** 30,
        "actual-size": 2 ** 20,
        filename: "/disk.qcow2",
        snapshots: [{ name: "s" }],
        "backing-image": { "virtual-size": 2 ** 30, filename: "/base" },
      },
      "dirty-bitmaps": [{ name: "b", count: 0, granularity: 65_536 }],
    },
  }],
  "qom-list": [{ name: "vd0", type: "child<virtio-balloon-pci>" }, { name: "x", type: "string" }],
  "query-migrate-capabilities": [{ capability: "events", state: true }],
  "query-migrate-parameters": { "max-bandwidth": 1, "downtime-limit": 300, "tls-creds": "" },
  "query-migrate": {
    status: "active",
    "socket-address": [{ type: "inet", host: "127.0.0.1", port: "4444" }],
    ram: { remaining: 1, total: 2, transferred: 3, "dirty-sync-count": 1 },
  },
};

/** Answers of a hypervisor that are well-formed lines and say something else than they should. */
export function qmpAnswers(): FuzzTarget {
  return {
    name: "qmp-answers",
    reads: "a hypervisor's answers, and what a driver's notes in the ledger say (src/qemu)",
    codes: ["qmp_protocol"],
    form: "text",
    bufferBytesMax: 32 * 2 ** 20,
    testExecutions: 2_500,
    generate: (dice) => dice.chance(0.03) ? deepChain() : encoder.encode(JSON.stringify(ANSWERS)),
    mutate: (input, dice, others) => mutateJson(input, dice, others, ["backing-image"]),
    async run(input) {
      let answers: Record<string, unknown>;
      try {
        answers = JSON.parse(new TextDecoder().decode(input));
      } catch {
        return "no answers";
      }
      const qmp = {
        version: "10.0.2",
        execute: (command: string) => Promise.resolve(Object(answers)[command]),
      } as unknown as QmpClient;
      readSourceNotes(Object(answers));
      const met = await Promise.allSettled([
        describeMachine(qmp),
        readSettings(qmp),
        ask(qmp, "query-migrate", migrateAnswer),
      ]);
      for (const each of met) if (each.status === "rejected") throw each.reason;
      return "described";
    },
  };
}

/** An image with thousands of others below it. */
function deepChain(): Uint8Array {
  const image = '{"virtual-size":1,"filename":"","backing-image":'.repeat(20_000);
  const inserted = `{"node-name":"n","drv":"raw","ro":false,"file":"f","image":${image}null`;
  const block = `{"device":"d","removable":false,"inserted":${inserted}${"}".repeat(20_002)}`;
  const others = JSON.stringify({ ...ANSWERS, "query-block": undefined });
  return encoder.encode(`${others.slice(0, -1)},"query-block":[${block}]}`);
}

/** A whole monitor, over a socket: first what it says by itself, then an answer to each command. */
export async function qmpSession(): Promise<FuzzTarget> {
  const directory = await fastDirectory();
  const path = `${directory}/qmp`;
  const listener = Deno.listen({ transport: "unix", path });
  let answers: Uint8Array[] = [];
  const serving = (async () => {
    for await (const conn of listener) await serve(conn, answers).catch(() => {});
  })();
  const clock = systemClock();
  return {
    name: "qmp-session",
    reads: "a monitor's greeting and answers over a socket (src/qemu/qmp/client.ts)",
    codes: ["guest_unreachable", "qmp_protocol", "qmp_command_failed"],
    form: "bytes",
    bufferBytesMax: 32 * 2 ** 20,
    testExecutions: 250,
    generate: () => joinParts(SCRIPT.map((line) => encoder.encode(JSON.stringify(line) + "\n"))),
    mutate: (input, dice, others) =>
      mutateParts(
        input,
        dice,
        (part) =>
          dice.chance(0.5) ? mutateBytes(part, dice, others) : mutateJson(part, dice, others),
        () => encoder.encode(JSON.stringify(dice.pick(LINES)) + "\n"),
      ),
    async run(input) {
      answers = splitParts(input, 12);
      const client = await connectQmp({ kind: "unix", path }, {
        clock,
        greetingTimeoutMs: SILENCE_MS,
      });
      try {
        client.onEvent(() => {});
        await client.execute("query-status", {}, { timeoutMs: SILENCE_MS });
        await client.execute("stop", {}, { timeoutMs: SILENCE_MS });
        return `connected to ${/^\d+\.\d+\.\d+$/.test(client.version)}`;
      } finally {
        client.close();
        await client.closed;
      }
    },
    async close() {
      listener.close();
      await serving;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** Of a monitor that says nothing more: it costs its time, so it is short here. */
const SILENCE_MS = 40;

const SCRIPT: readonly unknown[] = [
  GREETING,
  { return: {}, id: 1 },
  { return: { status: "running", running: true }, id: 2 },
  { return: {}, id: 3 },
];

/** The last answer ends the connection, so that nobody waits for more. */
async function serve(conn: Deno.Conn, answers: readonly Uint8Array[]): Promise<void> {
  const buffer = new Uint8Array(4096);
  try {
    for (const [number, answer] of answers.entries()) {
      if (number > 0 && await conn.read(buffer) === null) return;
      for (let at = 0; at < answer.length;) at += await conn.write(answer.subarray(at));
    }
    if (answers.length > 0) await conn.read(buffer);
  } finally {
    conn.close();
  }
}
