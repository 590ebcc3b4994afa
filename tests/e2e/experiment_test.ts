import assert from "node:assert/strict";
import { endDescendants } from "../../experiments/cells/descendants.ts";
import { readResults } from "../../src/experiment/row_store.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
/** Of a computer that has a lot else to do. */
const FIRST_ROW_MS = 240_000;

/** Three moves of a second or two; the second meets an outage, in the third a gateway dies. */
const SCENARIO = {
  name: "e2e",
  description: "Tiny machines between real gateways",
  matrix: {
    profiles: [{ name: "near", base: "metro", change: { rateBitsPerSecond: 50_000_000 } }],
    guests: [{ name: "tiny", kind: "reference", memoryMiB: 8, disks: [{ sizeMiB: 2 }] }],
    workloads: [{
      name: "calm",
      reference: { hotMiB: 1, memoryBytesPerSecond: 50_000, diskBytesPerSecond: 10_000 },
    }],
    faults: [
      { name: "none", events: [] },
      { name: "outage", events: [{ kind: "outage", atMs: 300, durationMs: 700 }] },
      { name: "killed", events: [{ kind: "kill", atMs: 200, gateway: "destination" }] },
    ],
    // A budget that a busy computer keeps, too.
    strategies: [{ name: "precopy", way: "causeway", options: { maxDowntimeMs: 5_000 } }],
  },
  warmUpSeconds: 0,
  sampleMs: 100,
  stop: { cellSeconds: 200 },
};

function task(...args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "experiment", ...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** The task's own process, without the task's shell: that passes a signal on, but not always. */
async function bare(...args: string[]): Promise<Deno.Command> {
  const { tasks } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const [program, ...rights] = (tasks.experiment as string).split(" ");
  assert.equal(program, "deno");
  return new Deno.Command(Deno.execPath(), {
    args: [...rights, ...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function rowCount(out: string): Promise<number> {
  return await readResults(out).then(({ rows }) => rows.length, () => 0);
}

Deno.test("what a cell was starting when it was told to stop is ended, and holds no output open", async () => {
  const script = "sleep 300 & sh -c 'sleep 300' & echo started; wait";
  const child = new Deno.Command("sh", {
    args: ["-c", script],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "started\n");
  await endDescendants(child.pid);
  assert.equal((await reader.read()).done, true, "the output has ended");
  await child.status;
});

Deno.test("an experiment with real gateways is interrupted, continued and reported", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const [file, out] = [`${directory}/e2e.json`, `${directory}/out`];
    await Deno.writeTextFile(file, JSON.stringify(SCENARIO));
    const first = (await bare(file, "--out", out)).spawn();
    const deadlineMs = performance.now() + FIRST_ROW_MS;
    while (await rowCount(out) === 0 && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    first.kill("SIGINT");
    const interrupted = await first.output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.match(text(interrupted.stdout), /interrupted: the same command continues/);
    const before = (await readResults(out)).rows;
    assert.ok(before.length > 0 && before.length < 3, `${before.length} rows`);

    const rest = await task(file, "--out", out).output();
    // A move does not outlive the destination's gateway: a failed cell, told and recorded.
    assert.equal(rest.code, 1, text(rest.stdout) + text(rest.stderr));
    assert.match(text(rest.stdout), /^[12] of 3 cells have run before$/m);
    const { rows } = await readResults(out);
    assert.deepEqual(rows.slice(0, before.length), before);
    assert.deepEqual(rows.map(({ cell }) => cell), [
      "near/tiny/calm/none/precopy/s1/r1",
      "near/tiny/calm/outage/precopy/s1/r1",
      "near/tiny/calm/killed/precopy/s1/r1",
    ]);
    assert.equal(rows[2].state, "failed");
    assert.match(rows[2].note!, /\w/);
    for (const row of rows.slice(0, 2)) {
      assert.equal(row.state, "completed", row.note ?? "");
      assert.equal(row.verified, "whole");
      assert.ok(row.totalMs! > 0 && row.wireBytes! > 1_000_000, JSON.stringify(row));
      assert.ok(row.samples.length > 1, JSON.stringify(row));
      // The relay sends a packet up to half a millisecond early, each way.
      assert.ok(row.link!.roundTripMs! >= 3, `${row.link!.roundTripMs} ms of round trip`);
    }
    // Nothing crosses a link that is dark.
    assert.ok(rows[1].link!.lossRatio! > 0, JSON.stringify(rows[1].link));
    const report = await Deno.readTextFile(`${out}/report.md`);
    assert.match(report, /3 of 3 cells have run, 1 of them failed\./);
    for (const [, plot] of report.matchAll(/\]\((plots\/[^)]+)\)/g)) {
      assert.match(await Deno.readTextFile(`${out}/${plot}`), /^<svg /);
    }
    assert.equal((await Deno.readTextFile(`${out}/rows.csv`)).split("\r\n").length, 5);

    const compared = await task("compare", out, out).output();
    assert.match(text(compared.stdout), /^nothing changed beyond the spread$/m);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
