import { createHash } from "node:crypto";

/** One file of the dashboard, as it is sent. */
export interface Asset {
  readonly contentType: string;
  readonly text: string;
}

/** The dashboard: the page itself, and what it loads, by the last part of the path. */
export interface DashboardFiles {
  readonly page: Asset;
  /** Allows the page what it needs and nothing else. */
  readonly contentSecurityPolicy: string;
  readonly files: ReadonlyMap<string, Asset>;
}

const FOLDER = new URL("./assets/", import.meta.url);
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/**
 * Reads the dashboard's files, those of its libraries from their npm packages. There is no build:
 * an import map in the page gives the packages their names, and its hash stands in the policy.
 */
export function loadDashboard(): DashboardFiles {
  const files = new Map<string, Asset>();
  for (const { name } of Deno.readDirSync(FOLDER)) {
    files.set(name, asset(name, Deno.readTextFileSync(new URL(name, FOLDER))));
  }
  for (const [name, text] of libraries()) files.set(name, asset(name, text));
  const page = files.get("index.html")!;
  files.delete("index.html");
  const importMap = /<script type="importmap">([^]*?)<\/script>/.exec(page.text)![1];
  return { page, contentSecurityPolicy: policyFor(importMap), files };
}

/**
 * Texts of packages: none is loaded by this process, which would take a tenth of a second for the
 * chart library alone. Deno fetches all that deno.json names before it runs anything.
 *
 * The minified form of the chart library is a script that sets a global; the one that is a module is
 * three times as long. As a module the script's variable is its own, and only has to be exported.
 */
function libraries(): [name: string, text: string][] {
  const read = (url: string | URL) => withoutSourceMap(Deno.readTextFileSync(new URL(url)));
  const chart = (name: string) => read(new URL(name, import.meta.resolve("uplot")));
  return [
    ["preact.js", read(import.meta.resolve("preact"))],
    ["hooks.js", read(import.meta.resolve("preact/hooks"))],
    ["htm.js", read(import.meta.resolve("htm"))],
    ["uplot.js", `${chart("uPlot.iife.min.js")}\nexport default uPlot;\n`],
    ["uplot.css", chart("uPlot.min.css")],
  ];
}

/** Maps are not served; a browser's tools would ask for them. */
function withoutSourceMap(text: string): string {
  return text.replace(/^\/\/# sourceMappingURL=.*$/m, "");
}

function asset(name: string, text: string): Asset {
  const contentType = CONTENT_TYPES[name.slice(name.lastIndexOf(".") + 1)];
  if (contentType === undefined) throw new TypeError(`${name} is no file of a dashboard`);
  return { contentType, text };
}

/** Scripts and styles from here only, requests to here only, and no text becomes markup or code. */
function policyFor(inlineScript: string): string {
  const hash = createHash("sha256").update(inlineScript).digest("base64");
  return [
    "default-src 'none'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}
