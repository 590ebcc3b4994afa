import type { StepResult } from "./cases.ts";

/** Bytes on the wire against the cap over time, as a Vega-Lite specification. */
export function stepPlot(profile: string, { series }: StepResult): Record<string, unknown> {
  const values = series.flatMap(({ atMs, capBytesPerSecond, wireBytesPerSecond }) => [
    { s: atMs / 1000, mbit: wireBytesPerSecond * 8 / 1e6, what: "on the wire" },
    ...(capBytesPerSecond === null
      ? []
      : [{ s: atMs / 1000, mbit: capBytesPerSecond * 8 / 1e6, what: "cap" }]),
  ]);
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    config: { view: { stroke: null }, axis: { grid: true }, font: "sans-serif" },
    title: `A cap that changes, ${profile}`,
    width: 560,
    height: 200,
    data: { values },
    mark: { type: "line", interpolate: "step-after", strokeWidth: 1.5 },
    encoding: {
      x: { field: "s", type: "quantitative", title: "s" },
      y: { field: "mbit", type: "quantitative", title: "Mbit/s of IP packets" },
      color: { field: "what", type: "nominal", title: null },
    },
  };
}
