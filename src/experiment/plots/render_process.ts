/**
 * Draws plots; a process of its own, with a lock file of its own.
 *
 *     deno run --lock src/experiment/plots/deno.lock --frozen --allow-write \
 *       src/experiment/plots/render_process.ts < PLOTS
 *
 * PLOTS is a JSON list of `{ path, spec }`; each specification becomes an SVG file at its path. The
 * lock file is renewed by the same command with `--frozen=false` after a change of a version.
 */
import { svgRenderer } from "./render.ts";

if (import.meta.main) {
  const plots = await new Response(Deno.stdin.readable).json() as {
    path: string;
    spec: Record<string, unknown>;
  }[];
  const render = await svgRenderer();
  for (const { path, spec } of plots) await Deno.writeTextFile(path, await render(spec) + "\n");
}
