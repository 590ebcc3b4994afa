/**
 * Draws plots; a process of its own, so that no other command loads the chart library.
 *
 *     src/experiment/plots/render_process.ts < PLOTS
 *
 * PLOTS is a JSON list of `{ path, spec }`; each specification becomes an SVG file at its path.
 */
import { renderSvg } from "./render.ts";

if (import.meta.main) {
  const plots = await new Response(Deno.stdin.readable).json() as {
    path: string;
    spec: Record<string, unknown>;
  }[];
  for (const { path, spec } of plots) await Deno.writeTextFile(path, await renderSvg(spec) + "\n");
}
