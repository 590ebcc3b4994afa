import { isForTests, listFiles, readFiles, resolveImport, ROOT } from "../structure/files.ts";
import { ruleOf } from "../structure/rules.ts";
import { importsOf } from "../structure/source_text.ts";

// deno-lint-ignore no-control-regex
const COLOURS = /\x1b\[[0-9;]*m/g;
const DECLARATION =
  /^export (?:abstract |async |default |declare )*(?:function\*?|class|interface|type) (\w+)/;

/** Asked of what other rooms use. */
const OF_PUBLIC_SYMBOLS = ["missing-jsdoc", "missing-return-type"];

/**
 * About types that the reader of a package cannot see. Here nobody publishes a package, and every
 * schema's type would be reported twice.
 */
const FOR_PACKAGES_ONLY = ["missing-explicit-type", "private-type-ref"];

/** What it means stands at the schema. */
const TYPE_OF_SCHEMA = /= z\.infer</;

/** True for a symbol that some module of another room names. */
export type IsPublic = (path: string, name: string) => boolean;

/**
 * `deno doc --lint` over src/, held to the house style: functions, classes and types that other
 * rooms use have a docstring, and functions a written return type. What a room keeps to itself, and
 * members and constants, need one only where the name does not say it, which no tool can judge.
 */
export async function docLint(): Promise<boolean> {
  const files = (await listFiles("src/", /\.tsx?$/)).filter((path) => !isForTests(path));
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", ...files],
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  const { found, kept } = sortReports(text, await publicSymbols());
  for (const report of kept) console.log(report + "\n");
  if (!success && found === 0) console.log(text);
  return success || (found > 0 && kept.length === 0);
}

/** Splits the output into reports and keeps those that the house style asks about. */
export function sortReports(text: string, isPublic: IsPublic): { found: number; kept: string[] } {
  const reports = text.replace(COLOURS, "").split(/^(?=error\[)/m)
    .filter((report) => report.startsWith("error["));
  const kept = reports.map((report) => report.replace(/\n(?:error: |Stack )[^]*$/, "").trimEnd())
    .filter((report) => {
      const kind = /^error\[([\w-]+)\]/.exec(report)?.[1] ?? "";
      if (FOR_PACKAGES_ONLY.includes(kind)) return false;
      if (!OF_PUBLIC_SYMBOLS.includes(kind)) return true;
      const source = /^ *\d+ \| (.*)$/m.exec(report)?.[1] ?? "";
      const name = DECLARATION.exec(source)?.[1];
      const path = /--> (\S+):\d+:\d+$/m.exec(report)?.[1]?.replace(ROOT.pathname, "") ?? "";
      return name !== undefined && isPublic(path, name) && !TYPE_OF_SCHEMA.test(source);
    });
  return { found: reports.length, kept };
}

/** Reads who names what; tests do not count. */
async function publicSymbols(): Promise<IsPublic> {
  const used = new Set<string>();
  for (const { path, text } of await readFiles("src/", /\.tsx?$/)) {
    if (isForTests(path)) continue;
    const room = ruleOf(path)?.room;
    for (const { specifier, names } of importsOf(text)) {
      const target = resolveImport(path, specifier);
      if (ruleOf(target)?.room === room) continue;
      for (const name of names) used.add(`${target} ${name}`);
    }
  }
  return (path, name) => used.has(`${path} ${name}`);
}
