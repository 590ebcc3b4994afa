// deno-lint-ignore no-control-regex
const COLOURS = /\x1b\[[0-9;]*m/g;
const DOCUMENTED =
  /^export (?:abstract |async |default |declare )*(?:function\*?|class|interface|type) /;

/**
 * About types that the reader of a package cannot see. Here nobody publishes a package, and every
 * schema's type would be reported twice.
 */
const FOR_PACKAGES_ONLY = ["error[missing-explicit-type]", "error[private-type-ref]"];

/** What it means stands at the schema. */
const TYPE_OF_SCHEMA = /= z\.infer</;

/**
 * `deno doc --lint` over src/, held to the house style: exported functions, classes and types have a
 * docstring. Members and constants need one only where their name does not say it, which no tool
 * can judge, so these reports are dropped.
 */
export async function docLint(): Promise<boolean> {
  const files = await modules("src");
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", ...files],
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  const { found, kept } = sortReports(text);
  for (const report of kept) console.log(report + "\n");
  if (!success && found === 0) console.log(text);
  return success || (found > 0 && kept.length === 0);
}

/** Splits the output into reports and keeps those that the house style asks about. */
export function sortReports(text: string): { found: number; kept: string[] } {
  const reports = text.replace(COLOURS, "").split(/^(?=error\[)/m)
    .filter((report) => report.startsWith("error["));
  const kept = reports.map((report) => report.replace(/\n(?:error: |Stack )[^]*$/, "").trimEnd())
    .filter((report) => {
      if (FOR_PACKAGES_ONLY.some((kind) => report.startsWith(kind))) return false;
      if (!report.startsWith("error[missing-jsdoc]")) return true;
      const source = /^ *\d+ \| (.*)$/m.exec(report)?.[1] ?? "";
      return DOCUMENTED.test(source) && !TYPE_OF_SCHEMA.test(source);
    });
  return { found: reports.length, kept };
}

async function modules(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) files.push(...await modules(path));
    else if (/\.tsx?$/.test(entry.name) && !/_test\.tsx?$/.test(entry.name)) files.push(path);
  }
  return files.sort();
}
