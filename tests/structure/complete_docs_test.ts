import assert from "node:assert/strict";
import { configFile } from "../../src/config/schema.ts";
import { listFiles, ROOT } from "./files.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Cells of the table rows of a document, without code marks. */
async function rows(path: string): Promise<string[][]> {
  const text = await Deno.readTextFile(new URL(path, ROOT));
  return text.split("\n").filter((line) => line.startsWith("| "))
    .map((line) => line.slice(2, -2).split("|").map((cell) => cell.trim().replaceAll("`", "")));
}

/** A default as the table writes it. */
function shown(name: string, value: unknown): string {
  if (typeof value !== "number") return JSON.stringify(value);
  if (name.endsWith("Ms")) {
    if (value < MINUTE_MS) return `${value} ms`;
    return value < HOUR_MS ? `${value / MINUTE_MS} min` : `${value / HOUR_MS} h`;
  }
  if (name.endsWith("BytesMax") && value % GIB === 0) return `${value / GIB} GiB`;
  return name.endsWith("BytesMax") ? `${value / MIB} MiB` : `${value}`;
}

Deno.test("docs/architecture.md has a row for every room of src/", async () => {
  const listed = (await rows("docs/architecture.md")).map(([room]) => room);
  const rooms = new Set((await listFiles("src/")).map((path) => path.split("/")[1]));
  const missing = [...rooms].filter((room) =>
    !listed.some((cell) => cell.includes(`src/${room}/`))
  );
  assert.deepEqual(missing, []);
});

Deno.test("docs/operations.md has every limit of the configuration with its default", async () => {
  const listed = new Map(
    (await rows("docs/operations.md")).map(([field, value]) => [field, value]),
  );
  const { limits, carrier, dataHosts, memoryAtRest, httpHosts, allow, accept } = configFile.parse({
    site: "a",
  });
  const defaults = { carrier, dataHosts, memoryAtRest, httpHosts } as Record<string, unknown>;
  for (const [name, value] of Object.entries(allow)) defaults[`allow.${name}`] = value;
  for (const [name, value] of Object.entries(accept)) defaults[`accept.${name}`] = value;
  for (const [name, value] of Object.entries(limits)) defaults[`limits.${name}`] = value;
  for (const [name, value] of Object.entries(defaults)) {
    assert.equal(listed.get(name), shown(name, value), name);
  }
});
