/** Answers the one question that this thread is started for. */
import { forecast } from "./forecast.ts";
import type { ForecastInput } from "./forecast_input.ts";
import type { Forecasted } from "./forecaster.ts";

const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<ForecastInput>) => void) | null;
  postMessage(answer: Forecasted): void;
};

scope.onmessage = ({ data }) => {
  try {
    scope.postMessage({ kind: "forecast", forecasts: forecast(data) });
  } catch (error) {
    const message = error instanceof Error ? error.stack ?? error.message : String(error);
    scope.postMessage({ kind: "failed", message });
  }
};
