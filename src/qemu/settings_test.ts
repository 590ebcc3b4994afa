import assert from "node:assert/strict";
import {
  DESTINATION_SETTINGS,
  movingParameters,
  settingsChange,
  sourceSettings,
} from "./settings.ts";
import { cpuThrottleParameters } from "./cpu_throttle.ts";

const SOURCE_SETTINGS = sourceSettings(false);
const found = {
  capabilities: { events: false, "return-path": true, xbzrle: true, "auto-converge": true },
  parameters: { "max-bandwidth": 134_217_728, "downtime-limit": 300, "tls-creds": "site" },
};

Deno.test("only what differs is set, and its found value is kept", () => {
  assert.deepEqual(settingsChange(found, SOURCE_SETTINGS), {
    set: {
      capabilities: { events: true, xbzrle: false, "auto-converge": false },
      parameters: { "max-bandwidth": 1024 * 1024 * 1024, "tls-creds": "" },
    },
    found: {
      capabilities: { events: false, xbzrle: true, "auto-converge": true },
      parameters: { "max-bandwidth": 134_217_728, "tls-creds": "site" },
    },
  });
});

Deno.test("setting the found values again leads back", () => {
  for (const wanted of [SOURCE_SETTINGS, sourceSettings(true), DESTINATION_SETTINGS]) {
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

Deno.test("without leave QEMU takes no processor time by itself, with it 1 % at most until asked", () => {
  const able = {
    capabilities: { "auto-converge": true, "dirty-limit": true },
    parameters: { "max-cpu-throttle": 80, "cpu-throttle-initial": 30, "downtime-limit": 300 },
  };
  assert.deepEqual(settingsChange(able, sourceSettings(false)).set, {
    capabilities: { "auto-converge": false, "dirty-limit": false },
    parameters: {},
  });
  const { capabilities, parameters } = settingsChange(able, sourceSettings(true)).set;
  assert.deepEqual(capabilities, { "dirty-limit": false });
  assert.deepEqual(parameters, { "max-cpu-throttle": 1, "cpu-throttle-initial": 1 });
});

Deno.test("what the gateway changes while memory flows is put back, even where it began equal", () => {
  const able = {
    capabilities: {},
    parameters: { ...cpuThrottleParameters(0), "downtime-limit": 300, "max-bandwidth": 7 },
  };
  assert.deepEqual(movingParameters(able, true), able.parameters);
  assert.deepEqual(movingParameters(able, false), { "downtime-limit": 300, "max-bandwidth": 7 });
});

Deno.test("asked for a share, QEMU goes to it from anywhere below, and no further", () => {
  for (const percent of [1, 30, 99]) {
    const asked = cpuThrottleParameters(percent);
    const step = Number(asked["cpu-throttle-increment"]);
    const ceiling = Number(asked["max-cpu-throttle"]);
    assert.equal(asked["cpu-throttle-initial"], percent);
    for (let now = 1; now <= percent; now++) assert.equal(Math.min(now + step, ceiling), percent);
  }
});
