import assert from "node:assert/strict";
import { DESTINATION_SETTINGS, settingsChange, SOURCE_SETTINGS } from "./settings.ts";

const found = {
  capabilities: { events: false, "return-path": true, xbzrle: true, "auto-converge": true },
  parameters: { "max-bandwidth": 134_217_728, "downtime-limit": 300, "tls-creds": "site" },
};

Deno.test("only what differs is set, and its found value is kept", () => {
  assert.deepEqual(settingsChange(found, SOURCE_SETTINGS), {
    set: {
      capabilities: { events: true, xbzrle: false },
      parameters: { "max-bandwidth": 1024 * 1024 * 1024, "tls-creds": "" },
    },
    found: {
      capabilities: { events: false, xbzrle: true },
      parameters: { "max-bandwidth": 134_217_728, "tls-creds": "site" },
    },
  });
});

Deno.test("setting the found values again leads back", () => {
  for (const wanted of [SOURCE_SETTINGS, DESTINATION_SETTINGS]) {
    const change = settingsChange(found, wanted);
    const present = {
      capabilities: { ...found.capabilities, ...change.set.capabilities },
      parameters: { ...found.parameters, ...change.set.parameters },
    };
    assert.deepEqual({
      capabilities: { ...present.capabilities, ...change.found.capabilities },
      parameters: { ...present.parameters, ...change.found.parameters },
    }, found);
    assert.deepEqual(settingsChange(present, wanted).set, { capabilities: {}, parameters: {} });
  }
});

Deno.test("no setting of the source lets QEMU pause a machine that nobody released", () => {
  assert.equal(SOURCE_SETTINGS.capabilities["pause-before-switchover"], true);
  assert.ok(Number(SOURCE_SETTINGS.parameters["downtime-limit"]) > 0);
});
