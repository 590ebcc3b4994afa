import assert from "node:assert/strict";
import type { MigrationReport } from "../../src/migration/report.ts";
import { RealSites } from "../../src/testing/real_sites.ts";
import { requires } from "../../src/testing/requirements.ts";
import { causeway, causewayJson } from "../../src/testing/site_process.ts";
import { machineEnd } from "../../src/testing/travelling_machine.ts";
import { oneMove } from "../../experiments/real-machine/one_move.ts";

const SIZE = {
  memoryMiB: 160,
  diskMiB: 64,
  workload: { memoryMiB: 12, memoryKiBPerSecond: 1024, diskKiBPerSecond: 256, diskBlockKiB: 128 },
};
/**
 * Wide enough for a small machine. On shorter paths a computer that is busy with other things looks
 * like a congested link: what is late by 10 ms is a third of their round trip.
 */
const PROFILE = "transatlantic";
/** What the contract promises of `GET /v1/migrations/{id}`, with the kind of each value. */
const CONTRACT: Record<string, unknown> = {
  id: "string",
  state: "string",
  phase: "string",
  owner: "string",
  epoch: "integer",
  machine: { site: "string", runState: "string" },
  startedAt: "time",
  totalMs: "integer",
  downtimeMs: "integer",
  progress: "number",
  etaMs: "integer",
  memory: { totalBytes: "integer", remainingBytes: "integer", dirtyBytesPerSecond: "integer" },
  disks: [{
    id: "string",
    totalBytes: "integer",
    allocatedBytes: "integer",
    remainingBytes: "integer",
    verifiedBytes: "integer",
  }],
  rounds: [{
    number: "integer",
    startedAt: "time",
    sentBytes: "integer",
    remainingBytes: "integer",
    durationMs: "integer",
  }],
  wireBytes: { memory: "integer", disk: "integer", control: "integer", total: "integer" },
  savedBytes: {
    zero: "integer",
    hole: "integer",
    unchanged: "integer",
    delta: "integer",
    duplicate: "integer",
    compression: "integer",
    free: "integer",
    warm: "integer",
  },
  decisions: [{ at: "time", action: "string", reason: "string", numbers: {} }],
  error: { code: "string", message: "string", hint: "string" },
};
const NEVER_NULL = ["id", "state", "phase", "owner", "epoch", "machine", "startedAt", "progress"];

/** Paths in `value` that are not of the promised form; null is fine where a value may be unknown. */
function broken(promised: unknown, value: unknown, path = ""): string[] {
  if (value === null) return NEVER_NULL.includes(path) ? [`${path} is null`] : [];
  if (typeof promised === "string") return isOfKind(promised, value) ? [] : [`${path}: ${value}`];
  if (Array.isArray(promised)) {
    if (!Array.isArray(value)) return [`${path} is no array`];
    return value.flatMap((each, at) => broken(promised[0], each, `${path}[${at}]`));
  }
  if (typeof value !== "object") return [`${path} is no object`];
  return Object.entries(promised as object).flatMap(([key, inner]) => {
    const at = path === "" ? key : `${path}.${key}`;
    return key in value ? broken(inner, (value as Record<string, unknown>)[key], at) : [`no ${at}`];
  });
}

function isOfKind(kind: string, value: unknown): boolean {
  if (kind === "integer") return Number.isSafeInteger(value);
  if (kind === "time") return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(String(value));
  return kind === "number" ? Number.isFinite(value) : typeof value === "string";
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** QEMU processes whose command line names this folder; the pattern does not match `grep` itself. */
async function machinesIn(directory: string): Promise<number> {
  const script =
    'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " " | grep -c -- "[-]pidfile $1/"';
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script, "sh", directory] })
    .output();
  return Number(new TextDecoder().decode(stdout));
}

Deno.test(
  "the command line moves a launched machine between two gateway processes",
  await requires("qemu", "guestImage"),
  async () => {
    await using sites = await RealSites.start(PROFILE);
    using a = await machineEnd(sites.a, "source", SIZE, null);
    using b = await machineEnd(sites.b, "incoming", SIZE, null);
    for (const [site, end] of [[sites.a, a], [sites.b, b]] as const) {
      const definition = JSON.stringify(end.definition);
      await causewayJson(
        ...["guests", "add", "vm", "--config", site.configPath, "--definition", definition],
      );
    }
    await a.waitReady();

    const config = ["--config", sites.a.configPath];
    const moved = await causeway("migrate", "vm", "--to", "b", "--watch", "--json", ...config);
    assert.equal(moved.code, 0, moved.stderr + sites.a.gateway.stderr);
    const shown: MigrationReport = JSON.parse(moved.stdout.trim().split("\n").at(-1)!);
    assert.equal(shown.state, "completed");

    const source = await sites.a.api.migration(shown.id);
    assert.deepEqual(broken(CONTRACT, source), []);
    assert.deepEqual(
      { ...source, wireBytes: null },
      { ...shown, wireBytes: null },
      "the command line shows what the API says, but for the farewell's bytes",
    );
    assert.deepEqual(source.machine, { site: "b", runState: "running" });
    assert.equal(source.owner, "b");
    assert.equal(source.epoch, 2);
    assert.equal(source.progress, 1);
    assert.equal(source.error, null);
    assert.equal(source.opaqueReason, null);
    assert.ok(source.downtimeMs! > 0 && source.downtimeMs! < source.totalMs!);
    const { memory, disk, control, total } = source.wireBytes;
    assert.equal(memory + disk + control, total);

    const destination = await sites.b.api.until(
      shown.id,
      // The figures are the source's, and follow the machine by half a round trip.
      (report) => report.state === "completed" && report.downtimeMs !== null,
      10_000,
    );
    assert.deepEqual(broken(CONTRACT, destination), []);
    assert.equal(destination.owner, "b");
    assert.equal(destination.downtimeMs, source.downtimeMs, "the source's report, served by both");

    assert.equal(await machinesIn(sites.a.directory), 0, "the source's machine has been ended");
    assert.equal(await machinesIn(sites.b.directory), 1);
    assert.match(await b.channel.ask("verify"), /^verify ok /);
    const view = await sites.b.api.call<{ runState: string; owner: string }>("GET", "/guests/vm");
    assert.deepEqual([view.runState, view.owner], ["running", "b"]);

    assert.deepEqual(source.leftovers, [a.diskPath]);
    const wrongSide = await sites.b.api.request("DELETE", `/migrations/${shown.id}/leftovers`);
    assert.equal(wrongSide.status, 409, "the disk in use is no leftover");
    assert.ok(await exists(b.diskPath));
    await sites.a.api.call("DELETE", `/migrations/${shown.id}/leftovers`);
    assert.equal(await exists(a.diskPath), false);

    await causewayJson("guests", "remove", "vm", "--end", "--config", sites.b.configPath);
    assert.equal(await machinesIn(sites.b.directory), 0);
    assert.deepEqual(await sites.stop(), { a: 0, b: 0, emulator: 0 });
    // Before, they may be a second old.
    const { forward, backward } = await sites.counters();
    assert.ok(total <= forward.offeredBytes + backward.offeredBytes, "all of it was on the wire");
  },
);

Deno.test(
  "a held move waits in sync, and its clients miss no more than is reported",
  await requires("qemu", "guestImage", "namespaces"),
  async () => {
    const result = await oneMove({
      profile: PROFILE,
      seed: 1,
      size: SIZE,
      maxDowntimeMs: 1_000,
      probeIntervalMs: 5,
      held: true,
      timeLimitMs: 150_000,
    });
    const text = JSON.stringify(result, null, 1);
    assert.equal(result.state, "completed", text);
    assert.match(result.verify, /^verify ok /);
    assert.deepEqual(result.disk?.wrongBlocks, [], text);
    assert.equal(result.disk.newerBlocks, 0, "nothing was written after the switch");
    assert.deepEqual(result.synced.missing, []);
    // Wide: on a machine that is busy with other things the probe itself comes late.
    const difference = Math.abs(result.observedDowntimeMs! - result.reportedDowntimeMs!);
    assert.ok(difference <= 250 + result.probeStallMs, text);
  },
);
