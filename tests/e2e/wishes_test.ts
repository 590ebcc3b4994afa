import assert from "node:assert/strict";
import type { MigrationChanges } from "../../src/migration/options.ts";
import { ReferenceSites, SLOW_PATH } from "./support/reference_sites.ts";

Deno.test("wishes changed while a move runs are in force, shown at both sites and told as decisions", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move({
    hold: true,
    rate: { policy: "fair", maxBytesPerSecond: 3_000_000 },
    weight: 10,
  });
  await sites.copying(id);
  const offered = sites.b.migration(id);
  assert.deepEqual(offered.rate, { policy: "fair", maxBytesPerSecond: 3_000_000 });
  assert.equal(offered.weight, 10);

  const changes: MigrationChanges = {
    rate: 4_000_000,
    maxDowntimeMs: 1_500,
    weight: 1_000,
    priority: "high",
    whenOver: ["throttleDisks", "ask", "giveUp"],
    window: { from: new Date(Date.now() + 3_600_000).toISOString(), until: null },
    holdMemoryMs: 1_000,
  };
  await sites.a.change(id, changes);
  const { holdMemoryMs: _, ...shown } = changes;
  for (const site of ["a", "b"] as const) {
    const report = await sites.sites.until(site, id, ({ weight }) => weight === 1_000);
    for (const [name, value] of Object.entries(shown)) {
      assert.deepEqual(report[name as keyof typeof report], value, `${name} at ${site}`);
    }
    assert.equal(report.rateBytesPerSecond, 4_000_000);
    assert.equal(report.hold, true);
  }
  const told = sites.a.migration(id).decisions.map(({ action }) => action);
  for (const action of ["rate", "budget", "weight", "priority", "remedies", "window", "hold"]) {
    assert.ok(told.includes(action), `${action} is not among ${told}`);
  }

  await assert.rejects(sites.a.answer(id, { accept: true }), { code: "no_question" });
  await assert.rejects(sites.b.answer(id, { accept: true }), { code: "migration_state" });

  await sites.sites.until("a", id, ({ state }) => state === "holding");
  const freed = await sites.a.change(id, { hold: false, rate: null, window: null });
  assert.deepEqual([freed.hold, freed.rate, freed.rateBytesPerSecond, freed.window], [
    false,
    null,
    null,
    null,
  ]);
  await sites.assertArrives(id);
  await assert.rejects(sites.a.change(id, { weight: 1 }), { code: "migration_state" });
});

Deno.test("a window that has closed starts and changes nothing", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const window = { from: "2020-01-01T00:00:00Z", until: "2020-01-02T00:00:00Z" };
  await assert.rejects(sites.move({ window }), { code: "request_invalid" });
  assert.deepEqual(sites.a.migrations(), []);
  const id = await sites.move();
  await assert.rejects(sites.a.change(id, { window }), { code: "request_invalid" });
  assert.equal(sites.a.migration(id).window, null);
  await sites.a.cancel(id);
});
