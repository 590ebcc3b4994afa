import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);
/** `| item | file | test |`; the header and its rule are no rows. */
const ROW = /^\| .+? \| (\S+\.ts) +\| (.+?) +\|$/gm;

Deno.test("docs/testing.md names only tests that exist, in the files that have them", async () => {
  const text = await Deno.readTextFile(new URL("docs/testing.md", ROOT));
  const rows = [...text.matchAll(ROW)];
  assert.ok(rows.length > 40, `${rows.length} rows: the table has another form`);
  const missing: string[] = [];
  for (const [, file, name] of rows) {
    const source = await Deno.readTextFile(new URL(file, ROOT)).catch(() => "");
    const found = name.split("…").every((piece) => source.includes(piece.trim()));
    if (!found) missing.push(`${file}: ${name}`);
  }
  assert.deepEqual(missing, []);
});
