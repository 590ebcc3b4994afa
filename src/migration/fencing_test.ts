import assert from "node:assert/strict";
import { withToken } from "./fencing.ts";

async function acts(record: { epoch: number; owner: string | null } | null, epoch: number) {
  let acted = false;
  const ownership = () =>
    record && {
      ...record,
      guestId: "g",
      migrationId: null,
      decidedBy: "test",
      reason: "",
      decidedAt: "",
    };
  const effect = () => Promise.resolve(void (acted = true));
  await withToken({ site: "a", guestId: "g", ownership }, epoch, effect).catch((error) => {
    assert.equal(error.code, "epoch_fenced");
    assert.equal(acted, false);
  });
  return acted;
}

Deno.test("a machine starts where the ledger knows no owner, this site, or none as late as the token", async () => {
  assert.equal(await acts(null, 1), true);
  assert.equal(await acts({ epoch: 4, owner: "a" }, 2), true);
  assert.equal(await acts({ epoch: 1, owner: "b" }, 2), true);
  assert.equal(await acts({ epoch: 1, owner: null }, 2), true);
});

Deno.test("a token that a decision for another site has reached or overtaken starts nothing", async () => {
  assert.equal(await acts({ epoch: 2, owner: "b" }, 2), false);
  assert.equal(await acts({ epoch: 3, owner: "b" }, 2), false);
  assert.equal(await acts({ epoch: 2, owner: null }, 2), false);
});
