import assert from "node:assert/strict";
import { progressBar, progressLine, summary } from "../../../cli/progress.ts";
import { renderMetrics } from "../../../http/metrics.ts";
import { migrationReport } from "../../../http/schemas/migration.ts";
import { sampleReport } from "../../../http/testing/fake_service.ts";
import { destinationReport } from "../../../migration/destination/report.ts";
import type { DestinationState } from "../../../migration/destination/state.ts";
import {
  decodeMessage,
  type ToDestination,
  toDestination,
  toEither,
  type ToSource,
  toSource,
} from "../../../migration/messages.ts";
import { migrationOptions } from "../../../migration/options.ts";
import type { MigrationReport } from "../../../migration/report.ts";
import { PAYLOAD_BYTES_MAX } from "../../../wire/limits.ts";
import type { Dice } from "../dice.ts";
import { mutateJson } from "../json_mutator.ts";
import type { FuzzTarget } from "../target.ts";

const description = {
  kind: "qemu" as const,
  version: "10.0.2",
  machineType: "pc-i440fx-10.0",
  cpuModel: "qemu64 1:edx=78bfbfd",
  memoryBytes: 2 ** 28,
  runState: "running" as const,
  disks: [{
    id: "virtio0",
    sizeBytes: 2 ** 30,
    allocatedBytes: null,
    format: "raw",
    readOnly: false,
    path: "/disk",
  }],
  devices: ["built-in x x1"],
  canHoldSwitchover: true,
};
const error = { code: "guest_gone", message: "Cannot go on: x", hint: "Look" };
const epoch = 3;
const guest = "web";
const layout = { pageBytes: 4096, section: 2, blocks: [{ name: "pc.ram", lengthBytes: 2 ** 28 }] };

const MESSAGES: readonly (ToDestination | ToSource)[] = [
  { type: "offer", guest, epoch, options: migrationOptions.parse({}), description, redirect: null },
  { type: "plan", guest, epoch, description },
  { type: "begin", warm: true },
  { type: "handover", epoch, lastSequences: { memory: 5, disk: 6 }, run: true },
  { type: "cancel", reason: "no", error },
  { type: "query", guest, epoch, framesGone: false },
  { type: "adjudicated", guest, epoch, owner: "west", by: "Ada", reason: "burnt" },
  { type: "repairing", number: 1 },
  { type: "rollback", guest, migration: "m-1" },
  { type: "rollbackBegan", migration: "m-2" },
  { type: "rollbackRefused", error },
  { type: "report", report: { ...sampleReport() } },
  { type: "report", report: reportOfLongMove() },
  { type: "accepted", description, findings: [{ severity: "warning", ...error }] },
  {
    type: "planned",
    description,
    findings: [{ severity: "refusal", ...error }],
    availableMemoryBytes: 2 ** 30,
    held: {
      memoryBytes: 2 ** 26,
      disks: [{ id: "virtio0", bytes: 2 ** 20, isKnown: true }],
      storeBytes: 0,
    },
  },
  {
    type: "prepared",
    image: { bytesMax: 2 ** 26, spills: true },
    warm: layout,
    diskOffer: true,
    store: { bytesMax: 2 ** 30, keepsMemory: true },
  },
  { type: "roundRecorded", round: 2 },
  { type: "rejected", error, epoch, owner: "west" },
  { type: "waiting" },
  { type: "running", epoch, loadMs: 12.5 },
  { type: "refused", epoch, error },
  { type: "repair", number: 1, sequence: 9 },
  { type: "pending", epoch, problem: "x" },
];
const KEYS = [
  ...["type", "report", "error", "phase", "state", "rounds", "disks", "memory", "wireBytes"],
  ...["savedBytes", "decisions", "progress", "machine", "findings", "leftovers", "epoch"],
];
/** A move at this end, wherever it may be when a report of the source comes. */
const STATES: readonly DestinationState[] = [
  { kind: "accepted" },
  { kind: "receiving" },
  { kind: "taking", epoch, run: true },
  { kind: "running", epoch, run: true },
  { kind: "refused", epoch, error },
  { kind: "abandoned", error: null },
  { kind: "conflict", epoch, reason: "x" },
];

function reportOfLongMove(): Partial<MigrationReport> {
  const { startedAt } = sampleReport();
  return {
    ...sampleReport({
      error,
      findings: [{ severity: "warning", ...error }],
      rounds: [1, 2].map((number) => ({
        number,
        kind: "memory" as const,
        startedAt,
        sentBytes: 5,
        remainingBytes: null,
        durationMs: 3,
      })),
      decisions: [{ at: startedAt, action: "switch", reason: "small", numbers: { left: 1 } }],
      leftovers: ["/disk"],
    }),
  };
}

/** Messages of the control channel, and what the API shows of a report that came in one. */
export function controlMessages(): FuzzTarget {
  return {
    name: "control-messages",
    reads: "JSON messages of a migration's control channel, the peer's report among them",
    codes: ["frame_invalid"],
    form: "text",
    bufferBytesMax: 4 * PAYLOAD_BYTES_MAX,
    testExecutions: 4_000,
    generate: (dice: Dice) => new TextEncoder().encode(JSON.stringify(dice.pick(MESSAGES))),
    mutate: (input, dice, others) => mutateJson(input, dice, others, KEYS),
    run(input) {
      const message = decodeMessage(toEither, input) as ToDestination | ToSource;
      const isForSource = MESSAGES.slice(9).some(({ type }) => type === message.type);
      const schema = isForSource ? toSource : toDestination;
      assert.deepEqual(decodeMessage<ToDestination | ToSource>(schema, input), message);
      if (message.type !== "report") return message.type;
      for (const state of STATES) show(message.report, state);
      return `report ${Object.keys(message.report).length > 0}`;
    },
  };
}

/** Everything that becomes of a peer's report: nothing of it may be in another form than promised. */
function show(sourceReport: Partial<MigrationReport>, state: DestinationState): void {
  const report = destinationReport({
    stored: {
      id: "m-1",
      guestId: guest,
      peer: "west",
      options: migrationOptions.parse({}),
      createdAt: "2026-01-02T03:04:05.000Z",
    },
    site: "east",
    state,
    epoch,
    sourceReport,
    partialCopies: [],
  });
  const parsed = migrationReport.safeParse(JSON.parse(JSON.stringify(report)));
  assert.ok(parsed.success, `the API's report: ${parsed.error?.issues[0].path.join(".")}`);
  const metrics = renderMetrics({
    migrations: [report],
    peers: [],
    process: { residentBytes: 1, heapBytes: 1, cpuSeconds: 1, startedAtSeconds: 1 },
  });
  for (const line of metrics.split("\n")) assert.match(line, /^(?:#.*|\w+(?:\{[^}]*\})? \S+|)$/);
  const shown = [progressBar(report, null, 80), progressLine(report, null), ...summary(report)];
  // deno-lint-ignore no-control-regex -- exactly the control characters
  for (const text of shown) assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f]/);
}
