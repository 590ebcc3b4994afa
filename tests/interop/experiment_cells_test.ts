import assert from "node:assert/strict";
import { readResults } from "../../src/experiment/row_store.ts";
import { requires } from "../../src/testing/requirements.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** A small machine, there by QEMU alone and through the gateways. */
const SCENARIO = {
  name: "cells",
  description: "A real machine, both ways",
  matrix: {
    profiles: ["metro"],
    guests: [{ name: "m160", kind: "qemu", memoryMiB: 160, diskMiB: 16, baseMiB: 4 }],
    workloads: [{
      name: "calm",
      qemu: { memoryMiB: 4, memoryKiBPerSecond: 256, diskKiBPerSecond: 64 },
    }],
    strategies: [
      { name: "causeway", way: "causeway", options: { maxDowntimeMs: 3_000 } },
      { name: "bbr", way: "qemu", congestion: "bbr" },
    ],
  },
  warmUpSeconds: 0,
  sampleMs: 200,
  stop: { cellSeconds: 300 },
};

Deno.test(
  "a real machine moves in cells of an experiment, by QEMU alone and through the gateways",
  {
    ...await requires("qemu", "guestImage", "namespaces", "tun"),
  },
  async () => {
    const directory = await Deno.makeTempDir();
    try {
      const [file, out] = [`${directory}/cells.json`, `${directory}/out`];
      await Deno.writeTextFile(file, JSON.stringify(SCENARIO));
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["task", "--quiet", "experiment", file, "--out", out],
        cwd: ROOT,
        stdin: "null",
      }).output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assert.equal(code, 0, said);
      const { rows } = await readResults(out);
      assert.deepEqual(rows.map(({ strategy }) => strategy), ["causeway", "bbr"]);
      for (const row of rows) {
        assert.equal(row.state, "completed", row.note ?? "");
        assert.match(row.verified!, /^verify ok /);
        // The limit bounds every mover, and nobody sends less than a part of the content.
        assert.ok(row.totalMs! > row.limit!.ms, `${row.totalMs} ms, limit ${row.limit!.ms} ms`);
        assert.ok(row.limit!.memoryBytes > 10_000_000 && row.limit!.diskBytes > 100_000);
        assert.ok(row.wireBytes! > 10_000_000, `${row.wireBytes}`);
        assert.ok(row.observedDowntimeMs! >= 0 && row.samples.length > 3);
        assert.ok(row.link!.roundTripMs! >= 3.9 && row.link!.roundTripMs! < 100);
        assert.match(row.versions.qemu!, /^\d+\./);
      }
      assert.ok(rows[1].stopAndLoadMs! > 0);
      const phases = new Set(rows[1].samples.map(({ phase }) => phase));
      assert.ok(phases.has("disk") && phases.has("memory"), [...phases].join());
      assert.match(await Deno.readTextFile(`${out}/report.md`), /## Targets/);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);
