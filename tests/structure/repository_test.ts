import assert from "node:assert/strict";
import { listFiles, placeOf, readFiles, ROOT, type SourceFile } from "./files.ts";

/** Past this a module hides a second idea (house style: most under 150, nine in ten under 370). */
const LINES_MAX = 450;
/** Longer ones with the length they may have; an entry goes when its module is short enough. */
const LONGER: Record<string, number> = {
  // A table with an entry for each code.
  "src/core/error_codes.ts": 600,
};

/** Streams recorded from real machines, and pictures of the dashboard, are not text. */
const BINARY = /^tests\/golden\/.*\.(?:zst|bin|pcap)$|^docs\/images\/[\w-]+\.png$/;
/** A picture stays in the history for ever. */
const PICTURE_BYTES_MAX = 150_000;
/** Texts of others, word for word. */
const VERBATIM = ["LICENSE", "deno.lock"];
/** These name what they forbid. */
const SELF = "tests/structure/repository_test.ts";

const START = ["npx --yes deno@2.9.6 task demo", "npx --yes deno@2.9.6 task test"];
const DECISION_PARTS = ["Status", "Context", "Decision", "Consequences", "Options"];

const paths = await listFiles("");
const texts = (await readFiles("", /./)).filter(({ path }) => !BINARY.test(path));
const ours = texts.filter(({ path }) => !VERBATIM.includes(path) && path !== SELF);
const documents = texts.filter(({ path }) => path.endsWith(".md"));

/** Every match of a pattern as `path:line: match`. */
function matches(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap((file) =>
    [...file.text.matchAll(pattern)].map((match) => `${placeOf(file, match.index)}: ${match[0]}`)
  );
}

Deno.test("no file names the machine that it was written on, or a registry", () => {
  const machine = /(?<![\w.$}*-])\/(?:work|workspace|root|home\/\w+)\/[\w.-]*/g;
  const registry =
    /\b(?:registry\.(?:npmjs|yarnpkg|npmmirror)\.\w+|(?:deb|security|ftp\.?\w*)\.debian\.org|jsr\.io|deno\.land)\b/g;
  assert.deepEqual(matches(ours, machine), []);
  assert.deepEqual(matches(ours, registry), []);
});

Deno.test("nothing says that it is unfinished", () => {
  const unfinished = /\b(?:TODO|FIXME|XXX|HACK|WIP)\b|\bfor now\b|\bnot (?:yet )?implemented\b/g;
  assert.deepEqual(matches(ours, unfinished), []);
});

Deno.test("pictures are small, and shown in a document", async () => {
  const shown = documents.flatMap(({ text }) =>
    text.match(/(?<=images\/)[\w/-]+\.(?:png|svg)/g) ?? []
  );
  for (const path of paths.filter((path) => path.startsWith("docs/images/"))) {
    assert.ok(shown.includes(path.slice("docs/images/".length)), `${path} is shown nowhere`);
    const { size } = await Deno.stat(new URL(path, ROOT));
    assert.ok(size <= PICTURE_BYTES_MAX, `${path}: ${size} bytes`);
  }
});

Deno.test("every file is text, apart from recorded streams and pictures", () => {
  const binary = texts.filter(({ text }) => /[\0\uFFFD]/.test(text)).map(({ path }) => path);
  assert.deepEqual(binary, []);
});

Deno.test("modules are short enough to hold one idea", () => {
  const long = texts.filter(({ path }) => /\.(?:tsx?|sh)$/.test(path))
    .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
    .filter(({ path, lines }) => lines > (LONGER[path] ?? LINES_MAX))
    .map(({ path, lines }) => `${path}: ${lines} lines`);
  assert.deepEqual(long, [], `Split what has more than ${LINES_MAX} lines`);
  const short = Object.keys(LONGER).filter((path) => {
    const text = texts.find((file) => file.path === path)?.text;
    return text === undefined || text.split("\n").length - 1 <= LINES_MAX;
  });
  assert.deepEqual(short, [], "Take these out of LONGER: they are short enough");
});

Deno.test("npm packages are pinned to one version", async () => {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  for (const [name, target] of Object.entries(imports as Record<string, string>)) {
    assert.equal(target.replace(/@\d+\.\d+\.\d+$/, ""), `npm:${name}`, target);
  }
});

Deno.test("the README starts with exactly the two commands that need nothing but npm", async () => {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const commands = readme.split("\n").map((line) => line.trim().replace(/\s+#.*$/, ""))
    .filter((line) => line.startsWith("npx "));
  assert.deepEqual(commands, START);
});

Deno.test("docs/emulator.md names every WAN profile", async () => {
  const page = await Deno.readTextFile(new URL("docs/emulator.md", ROOT));
  const profiles = (await listFiles("wan-profiles/", /\.json$/))
    .map((path) => path.slice("wan-profiles/".length, -".json".length));
  assert.ok(profiles.length > 0);
  const missing = profiles.filter((name) => !new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(page));
  assert.deepEqual(missing, []);
});

Deno.test("links between documents lead somewhere", () => {
  const broken = documents.flatMap((document) =>
    [...document.text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap((match) => {
      const [target, anchor] = match[1].split("#");
      if (/^[a-z]+:/.test(target)) return [];
      const path = target === ""
        ? document.path
        : new URL(target, new URL(document.path, ROOT)).href.slice(ROOT.href.length);
      const found = paths.some((known) => known === path || known.startsWith(`${path}/`)) ||
        paths.some((known) => path.endsWith("/") && known.startsWith(path));
      const text = texts.find((file) => file.path === path)?.text;
      const anchorFound = anchor === undefined || anchorsOf(text ?? "").includes(anchor);
      return found && anchorFound ? [] : [`${placeOf(document, match.index)}: ${match[1]}`];
    })
  );
  assert.deepEqual(broken, []);
});

Deno.test("documents and comments name only files that exist", () => {
  const named =
    /(?<![\w./-])(?:src|tests|docs|bench|wan-profiles)\/[\w./-]+\.(?:tsx?|md|json|sql|sh|service)\b/g;
  const inComments = texts.filter(({ path }) => /\.tsx?$/.test(path))
    .map(({ path, text }) => ({ path, text: text.replace(/^(?!\s*(?:\/?\*|\/\/)).*$/gm, "") }));
  const missing = [...documents, ...inComments].flatMap((file) =>
    [...file.text.matchAll(named)].filter((match) => !paths.includes(match[0]))
      .map((match) => `${placeOf(file, match.index)}: ${match[0]}`)
  );
  assert.deepEqual(missing, []);
});

Deno.test("every decision is recorded in one form and listed", async () => {
  const folder = "docs/decisions/";
  const records = documents.filter(({ path }) => /^docs\/decisions\/\d{3}-/.test(path));
  assert.ok(records.length > 0);
  const list = await Deno.readTextFile(new URL(`${folder}README.md`, ROOT));
  const numbers = records.map(({ path }) => path.slice(folder.length, folder.length + 3));
  assert.equal(new Set(numbers).size, numbers.length, `a number is given twice: ${numbers}`);
  for (const { path, text } of records) {
    assert.match(list, new RegExp(`\\(${path.slice(folder.length)}\\)`), `${path} is not listed`);
    const parts = [...text.matchAll(/^## (.+)$/gm)].map(([, title]) => title);
    assert.deepEqual(parts, DECISION_PARTS, path);
  }
});

/** The anchors that a page's headings get. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-")
  );
}
