import assert from "node:assert/strict";
import { lockSite } from "./site_lock.ts";

Deno.test("a site is one process's at a time, by its ledger and by its state directory", async () => {
  const directory = await Deno.makeTempDir({ prefix: "cw-lock-" });
  try {
    const site = { ledgerFile: `${directory}/ledger.sqlite`, stateDirectory: directory };
    await Deno.mkdir(`${directory}/other`);
    const held = lockSite(site);
    for (
      const taken of [
        site,
        { ...site, ledgerFile: `${directory}/other/ledger.sqlite` },
        { ...site, stateDirectory: `${directory}/other` },
      ]
    ) {
      assert.throws(() => lockSite(taken), {
        code: "gateway_running",
        message: new RegExp(`\\(pid ${Deno.pid}\\)`),
      });
    }
    held[Symbol.dispose]();
    lockSite(site)[Symbol.dispose]();
    const nowhere = { ...site, ledgerFile: `${directory}/missing/ledger.sqlite` };
    assert.throws(() => lockSite(nowhere), { code: "ledger_unusable", message: /missing/ });
    lockSite(site)[Symbol.dispose]();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
