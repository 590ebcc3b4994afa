/**
 * The chart library. Named where no command's graph of modules finds it, and locked in a file of
 * its own beside this one: Deno fetches whatever the project's lock file has, for any command.
 */
const VEGA = "npm:vega@6.4.0";
const VEGA_LITE = "npm:vega-lite@6.5.0";

/** What is used of them. */
interface Vega {
  parse(spec: unknown): unknown;
  readonly View: new (runtime: unknown, options: { renderer: "none" }) => {
    toSVG(): Promise<string>;
    finalize(): void;
  };
}

interface VegaLite {
  compile(spec: unknown): { readonly spec: unknown };
}

/** Draws Vega-Lite specifications as stand-alone SVG texts; nothing is loaded for any of them. */
export async function svgRenderer(): Promise<
  (spec: Readonly<Record<string, unknown>>) => Promise<string>
> {
  const { parse, View } = await import(VEGA) as Vega;
  const { compile } = await import(VEGA_LITE) as VegaLite;
  return async (spec) => {
    const view = new View(parse(compile(spec).spec), { renderer: "none" });
    try {
      return await view.toSVG();
    } finally {
      view.finalize();
    }
  };
}
