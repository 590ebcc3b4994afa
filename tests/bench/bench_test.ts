import assert from "node:assert/strict";

const ROOT = `${import.meta.dirname}/../../`;

interface CostRun {
  readonly source: EndCost;
  readonly destination: EndCost;
  readonly guestBytesPerSecond: number;
}

interface FreeRun {
  readonly freeBytes: number;
  readonly memoryWireBytes: number;
}

interface EndCost {
  readonly cpuSecondsPerGiB: number;
  readonly idleBytes: number;
  readonly peakBytes: number;
}

Deno.test("the cost bench moves machines of two sizes and measures both gateways", async () => {
  const out = await Deno.makeTempDir();
  try {
    const printed = await bench("--quick", "--only", "cost", "--out", out);
    assert.match(printed, /^8 MiB +\d.*$/m);
    assert.match(printed, /^source: peak grows by -?[\d.]+ MiB, -?[\d.]+ %/m);
    const { commit, results } = JSON.parse(await Deno.readTextFile(`${out}/cost.json`));
    assert.notEqual(commit, "");
    const runs: CostRun[] = results.flatMap(({ runs }: { runs: CostRun[] }) => runs);
    assert.equal(runs.length, 2);
    for (const { source, destination, guestBytesPerSecond } of runs) {
      assert(guestBytesPerSecond > 0);
      for (const { cpuSecondsPerGiB, idleBytes, peakBytes } of [source, destination]) {
        assert(cpuSecondsPerGiB > 0);
        assert(peakBytes >= idleBytes && idleBytes > 0);
      }
    }
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("the bench of the runtime's limits names each step of a move", async () => {
  const printed = await bench("--quick", "--only", "limits");
  for (const step of ["zstd level 3", "zstd decompression", "QUIC", "unix socket"]) {
    assert.match(printed, new RegExp(`^${step}.* \\d+\\.\\d\\d `, "m"));
  }
});

Deno.test("the bench of the API tries wrong tokens beside clients with right ones", async () => {
  const out = await Deno.makeTempDir();
  try {
    const printed = await bench("--quick", "--only", "api", "--out", out);
    assert.match(printed, /^clients, beside wrong ones +200: \d+ /m);
    const { measured } = JSON.parse(await Deno.readTextFile(`${out}/api.json`));
    // Twenty from each of two addresses are judged, and one more for each few seconds that it takes.
    const { "401": judged, "429": sentAway } = measured.wrong.byStatus;
    assert.equal(judged + sentAway, 100);
    assert(judged >= 40 && judged < 60, `${judged} were judged`);
    assert.equal(measured.wrong.told, sentAway);
    assert.deepEqual(measured.operator.byStatus, { "200": 1 });
    for (const clients of [measured.before, measured.during, measured.after]) {
      assert.deepEqual(Object.keys(clients.byStatus), ["200"]);
    }
    assert(measured.residentBytes.after > 0);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("the bench of the content store prices each step", async () => {
  const printed = await bench("--quick", "--only", "store");
  for (const step of ["put new", "put known", "get", "open", "offer"]) {
    assert.match(printed, new RegExp(`^${step} +\\d+\\.\\d+ .* MB/s$`, "m"));
  }
});

Deno.test("the bench of a disk's round puts packing ahead beside packing one after the other", async () => {
  const printed = await bench("--quick", "--only", "disk");
  assert.match(printed, /^1 under way +\d+ \(\d+-\d+\) MB\/s$/m);
  assert.match(printed, /^\d+\.\d\d times as fast with \d+ workers$/m);
});

Deno.test("the bench of the page pipeline puts each kind of page beside the runtime's limit", async () => {
  const printed = await bench("--quick", "--only", "codec");
  const kinds = ["unchanged, in memory", "unchanged, digests only", "zero, as pages"];
  kinds.push("sparse deltas", "text, first copy", "random, first copy");
  // MB/s, spread, limit, ratio.
  for (const kind of kinds) {
    assert.match(printed, new RegExp(`^${kind} +\\d+ \\(\\d+-\\d+\\) +\\d+ +\\d+\\.\\d\\d `, "m"));
  }
  assert.match(printed, /^text, fast +1 +\d+ /m, "with a worker");
});

Deno.test("the bench of free memory moves a machine with it and without", async () => {
  const out = await Deno.makeTempDir();
  try {
    await bench("--quick", "--only", "free", "--out", out);
    const { results } = JSON.parse(await Deno.readTextFile(`${out}/free.json`));
    const [travels, stays] = results.map(({ runs }: { runs: FreeRun[] }) => runs[0]);
    assert.equal(travels.freeBytes, 0);
    assert(stays.freeBytes > 0 && stays.memoryWireBytes < travels.memoryWireBytes);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("a bench that does not exist is refused by name", async () => {
  await assert.rejects(
    bench("--only", "nothing"),
    /named nothing: there are limits, api, (\w+, )+downtime, converge, fidelity, plan, outages, crashes/,
  );
});

/** What `deno task bench` prints with these arguments. */
async function bench(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "bench", ...args],
    cwd: ROOT,
  }).output();
  const [printed, complaints] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`${printed}\n${complaints}`);
  return printed;
}
