/** The repository's root, with a slash at its end. */
export const ROOT = new URL("../../", import.meta.url);

const NOT_OURS = /^(?:\.git|\.cache|node_modules|out)\//;

/** A text file of the repository; `path` is relative to its root. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Every file below `folder` ("" is all) whose path matches, sorted; none that is not ours. */
export async function listFiles(folder: string, matching = /./): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(new URL(folder, ROOT))) {
    const path = `${folder}${entry.name}`;
    if (NOT_OURS.test(`${path}/`)) continue;
    if (entry.isDirectory) found.push(...await listFiles(`${path}/`, matching));
    else if (entry.isFile && matching.test(path)) found.push(path);
  }
  return found.sort();
}

/** The same with their texts. */
export async function readFiles(folder: string, matching = /./): Promise<SourceFile[]> {
  const paths = await listFiles(folder, matching);
  return await Promise.all(paths.map(async (path) => ({
    path,
    text: await Deno.readTextFile(new URL(path, ROOT)),
  })));
}

/** True for what only tests use: test files, their helpers, and `src/testing`. */
export function isForTests(path: string): boolean {
  return /_test\.tsx?$|(?:^|\/)(?:testing|tests)\/|\/(?:testing|test_support)\.ts$/.test(path);
}

/** The path of what a module of ours imports; packages as they are. */
export function resolveImport(from: string, specifier: string): string {
  if (!specifier.startsWith(".")) return specifier;
  return new URL(specifier, new URL(from, ROOT)).href.slice(ROOT.href.length);
}

/** Position of an offset as `path:line`. */
export function placeOf({ path, text }: SourceFile, offset: number): string {
  return `${path}:${text.slice(0, offset).split("\n").length}`;
}
