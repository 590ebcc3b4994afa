import assert from "node:assert/strict";
import fc from "fast-check";
import { type CpioEntry, packCpio } from "./cpio.ts";
import { requires } from "../requirements.ts";

const ENTRIES: CpioEntry[] = [
  { path: "bin", mode: 0o755, folder: true },
  { path: "bin/odd", mode: 0o755, content: new Uint8Array([1, 2, 3]) },
  { path: "empty", mode: 0o600, content: new Uint8Array() },
];

Deno.test("packCpio() starts every header and content at a multiple of four", () => {
  fc.assert(fc.property(
    fc.array(fc.record({
      path: fc.stringMatching(/^[a-z]{1,20}$/),
      content: fc.uint8Array({ maxLength: 40 }),
    }, { noNullPrototype: true })),
    (files) => {
      const archive = packCpio(files.map((file) => ({ ...file, mode: 0o644 })));
      assert.deepEqual(readCpio(archive), files.map(({ path, content }) => ({ path, content })));
      assert.equal(archive.length % 4, 0);
    },
  ));
});

Deno.test("cpio lists what packCpio() packed, with modes", await requires("cpio"), async () => {
  const child = new Deno.Command("cpio", {
    args: ["-itv", "--quiet", "--numeric-uid-gid"],
    env: { LC_ALL: "C" },
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  await writer.write(packCpio(ENTRIES));
  await writer.close();
  const { success, stdout } = await output;
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");

  assert.ok(success);
  const columns = lines.map((line) => line.split(/\s+/)).map((words) => [
    words[0],
    words[2],
    words[4],
    words.at(-1),
  ]);
  assert.deepEqual(columns, [
    ["drwxr-xr-x", "0", "0", "bin"],
    ["-rwxr-xr-x", "0", "3", "bin/odd"],
    ["-rw-------", "0", "0", "empty"],
  ]);
});

/** Reads the newc form by its description, independent of the writer's arithmetic. */
function readCpio(archive: Uint8Array): { path: string; content: Uint8Array }[] {
  const text = new TextDecoder("latin1").decode(archive);
  const found: { path: string; content: Uint8Array }[] = [];
  for (let at = 0;;) {
    assert.equal(text.slice(at, at + 6), "070701");
    const field = (index: number) =>
      parseInt(text.slice(at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const contentBytes = field(6);
    const path = text.slice(at + 110, at + 110 + field(11) - 1);
    if (path === "TRAILER!!!") return found;
    const from = Math.ceil((at + 110 + field(11)) / 4) * 4;
    found.push({ path, content: archive.slice(from, from + contentBytes) });
    at = Math.ceil((from + contentBytes) / 4) * 4;
  }
}
