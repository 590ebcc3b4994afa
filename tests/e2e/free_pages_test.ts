import assert from "node:assert/strict";
import { ReferenceSites } from "./support/reference_sites.ts";

const MIB = 2 ** 20;
/** Of the machine's 16. */
const FREE_MIB = 8;

/** Moves a machine with free memory and gives the report of its end. */
async function moved(options: Record<string, unknown>) {
  await using sites = await ReferenceSites.start();
  const id = await sites.move(options, "g", { freeMiB: FREE_MIB });
  await sites.assertArrives(id);
  return sites.a.migration(id);
}

Deno.test("what the machine calls free does not travel unless it is asked to, and is accounted for", async () => {
  const without = await moved({});
  // Some of it was named while it was in use, some was used while the move went on.
  const { free } = without.savedBytes;
  assert.ok(free > 0.7 * FREE_MIB * MIB && free <= FREE_MIB * MIB, `${free} bytes are free`);
  assert.equal(without.progress, 1);
  assert.equal(without.memory.remainingBytes, 0);

  const everything = await moved({ disable: ["free"] });
  assert.equal(everything.savedBytes.free, 0);
  // A fifth of what is free is random, two fifths text, the rest zero.
  const sparedBytes = everything.wireBytes.memory - without.wireBytes.memory;
  assert.ok(sparedBytes > 0.15 * free, `only ${sparedBytes} bytes were spared`);
});

Deno.test("a machine that stands still leaves out exactly what it calls free", async () => {
  const { savedBytes } = await moved({ strategy: "stop-and-copy" });
  assert.equal(savedBytes.free, FREE_MIB * MIB);
});

Deno.test("a machine arrives whole when its stream began anew and pages were freed and used meanwhile", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("a", "memory.finish", async (finish) => {
    sites.sites.breakPath("silent");
    await finish();
  });
  const id = await sites.move({ handover: "confirmed" }, "g", { freeMiB: FREE_MIB });
  await sites.sites.until("a", id, ({ machine }) => machine.runState === "paused");
  const undone = await sites.sites.until("a", id, ({ machine }) => machine.runState === "running");
  assert.ok(undone.decisions.some(({ action }) => action === "undo the switch"));
  assert.equal(undone.savedBytes.free, 0, "the stream was given up");
  sites.sites.heal();
  await sites.assertArrives(id);
  const { savedBytes } = sites.a.migration(id);
  assert.ok(savedBytes.free > FREE_MIB * MIB / 2, `${savedBytes.free} bytes are free`);
});
