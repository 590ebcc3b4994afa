import assert from "node:assert/strict";
import { machineModel, steadyPath } from "../../migration/control/model.ts";
import { ends } from "./ends.ts";
import { forecast } from "./forecast.ts";
import { Forecaster } from "./forecaster.ts";
import type { ForecastInput } from "./forecast_input.ts";

const INPUT: ForecastInput = {
  machine: ends(() => machineModel({ memoryBytes: 16 * 1024 * 1024 })),
  path: ends(() => steadyPath(2_500_000, 80)),
  isCapped: false,
  strategy: "precopy",
  maxDowntimeMs: 300,
  rate: null,
  whenOver: ["wait"],
  startWallMs: Date.UTC(2026, 0, 1),
  remarks: [],
};

Deno.test("a thread forecasts the same as its caller would", async () => {
  using forecaster = new Forecaster();
  assert.deepEqual(
    await forecaster.forecast(INPUT, new AbortController().signal),
    forecast(INPUT),
  );
});

Deno.test("who gives a forecast up does not wait for it", async () => {
  using forecaster = new Forecaster();
  const caller = new AbortController();
  const forecasting = forecaster.forecast(INPUT, caller.signal);
  caller.abort(new Error("given up"));
  await assert.rejects(forecasting, /given up/);
});

Deno.test("a forecast that fails in its thread is an error here", async () => {
  using forecaster = new Forecaster();
  const broken = { ...INPUT, path: null as unknown as ForecastInput["path"] };
  await assert.rejects(forecaster.forecast(broken, new AbortController().signal), /failed/);
});
