import assert from "node:assert/strict";
import fc from "fast-check";
import { type IoLimits, ioLimits } from "./answers.ts";
import { cappedWrites, type FoundLimits, foundLimits, THROTTLE_GROUP } from "./io_limits.ts";

const free = (id: string): FoundLimits => ({ handle: { id }, limits: ioLimits.parse({}) });
const limited = (id: string, limits: Partial<IoLimits>): FoundLimits => ({
  handle: { id },
  limits: ioLimits.parse({ group: id, ...limits }),
});

Deno.test("drives without limits share one group, so the cap holds for their sum", () => {
  const none = { bps: 0, bps_rd: 0, iops: 0, iops_rd: 0, iops_wr: 0 };
  assert.deepEqual(cappedWrites([free("vd0"), { ...free(""), handle: { device: "old" } }], 1_000), [
    { id: "vd0", ...none, bps_wr: 1_000, group: THROTTLE_GROUP },
    { device: "old", ...none, bps_wr: 1_000, group: THROTTLE_GROUP },
  ]);
});

Deno.test("a drive with limits keeps its group and what is narrower than its part of the cap", () => {
  const cap = (limits: Partial<IoLimits>) =>
    cappedWrites([free("vd0"), limited("vd1", limits)], 1_000)[1];
  const had = (limits: Partial<IoLimits>) => ({
    id: "vd1",
    ...limited("vd1", limits).limits,
  });
  assert.deepEqual(cap({ iops: 90 }), { ...had({ iops: 90 }), bps_wr: 500 });
  assert.deepEqual(cap({ bps_wr: 400 }), had({ bps_wr: 400 }));
  assert.deepEqual(cap({ bps: 500, bps_max: 600 }), had({ bps: 500, bps_max: 600 }));
  assert.deepEqual(
    cap({ bps_wr: 900, bps_wr_max: 1_500, bps_wr_max_length: 2, bps_rd: 7 }),
    had({ bps_wr: 500, bps_rd: 7 }),
  );
  assert.deepEqual(cap({ bps: 2_000, bps_max: 3_000 }), had({ bps_rd: 1_500, bps_wr: 500 }));
});

/** Limits that QEMU accepts: of the sum or of both ways, a burst only with its limit. */
const accepted = fc.record({
  inSum: fc.boolean(),
  sum: fc.integer({ min: 1, max: 5_000 }),
  ways: fc.record({ bps_rd: fc.nat(5_000), bps_wr: fc.nat(5_000) }, { noNullPrototype: true }),
  burst: fc.nat(3),
  iops_wr: fc.nat(100),
  group: fc.constantFrom(undefined, "a", "b"),
}, { noNullPrototype: true }).map(({ inSum, sum, ways, burst, iops_wr, group }) => {
  if (group === undefined) return ioLimits.parse({});
  const limits = inSum
    ? { bps: sum, ...(burst > 0 ? { bps_max: sum * burst } : {}) }
    : { ...ways, ...(burst > 0 && ways.bps_wr > 0 ? { bps_wr_max: ways.bps_wr * burst } : {}) };
  return ioLimits.parse({ ...limits, iops_wr, group });
});

Deno.test("whatever the drives had, nothing is loosened, the sum holds, and QEMU can take it", () => {
  fc.assert(fc.property(
    fc.array(accepted, { minLength: 1, maxLength: 5 }),
    fc.integer({ min: 5, max: 20_000 }),
    (all, bytesPerSecond) => {
      // All members of a group have the group's limits.
      const ofGroup = new Map(all.map((limits) => [limits.group, limits]));
      const found = all.map((limits, at) => ({
        handle: { id: `vd${at}` },
        limits: limits.group === undefined ? limits : ofGroup.get(limits.group)!,
      }));
      const groups = new Map<string, number>();
      for (const [at, set] of cappedWrites(found, bytesPerSecond).entries()) {
        const limits = ioLimits.parse(set);
        const before = found[at].limits;
        assert.ok(limits.bps === 0 || (limits.bps_rd === 0 && limits.bps_wr === 0));
        assert.ok(!limits.bps_max || limits.bps_max >= limits.bps && limits.bps > 0);
        assert.ok(!limits.bps_wr_max || limits.bps_wr_max >= limits.bps_wr && limits.bps_wr > 0);
        assert.equal(limits.iops_wr, before.iops_wr);
        const writes = limits.bps || limits.bps_wr;
        assert.ok(writes >= 1);
        for (const narrower of [before.bps, before.bps_wr]) {
          assert.ok(narrower === 0 || writes <= narrower);
        }
        if (before.bps > 0) assert.ok((limits.bps || limits.bps_rd + limits.bps_wr) <= before.bps);
        else assert.equal(limits.bps_rd, before.bps_rd);
        const group = limits.group!;
        assert.equal(groups.get(group) ?? writes, writes, "one group has one cap");
        groups.set(group, writes);
      }
      const sum = [...groups.values()].reduce((total, each) => total + each, 0);
      assert.ok(sum <= bytesPerSecond, `${sum} over ${bytesPerSecond}`);
    },
  ));
});

Deno.test("what was found is what is put back, and survives the notes", () => {
  const found = [free("vd0"), limited("vd1", { iops: 90, bps_wr: 5, bps_wr_max: 10 })];
  const [plain, own] = foundLimits(JSON.parse(JSON.stringify(found)));
  assert.deepEqual(plain, {
    ...{ id: "vd0", bps: 0, bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 },
  });
  assert.deepEqual(own, { id: "vd1", ...found[1].limits });
});
