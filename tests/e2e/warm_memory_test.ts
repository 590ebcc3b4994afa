import assert from "node:assert/strict";
import type { MigrationReport } from "../../src/migration/report.ts";
import { ReferenceSites, SLOW_PATH } from "./support/reference_sites.ts";

const MIB = 1024 * 1024;

/** Cancels a move once so much of its memory has crossed, and waits until both sites are done. */
async function cancelledAt(
  sites: ReferenceSites,
  memoryBytes: number,
  options: Record<string, unknown> = {},
): Promise<MigrationReport> {
  const id = await sites.move(options);
  await sites.sites.until("a", id, ({ wireBytes }) => wireBytes.memory > memoryBytes);
  await sites.a.cancel(id);
  const report = await sites.sites.ended("a", id);
  assert.equal(report.state, "cancelled");
  await sites.sites.ended("b", id);
  return report;
}

Deno.test("memory that arrived before a cancel does not cross again", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const first = await cancelledAt(sites, 4 * MIB);
  const id = await sites.move();
  await sites.assertArrives(id);
  const second = sites.a.migration(id);
  console.log(first.wireBytes, second.wireBytes, first.savedBytes, second.savedBytes);
});
