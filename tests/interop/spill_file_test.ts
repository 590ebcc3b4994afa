import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { openSpillFile } from "../../src/image/spill_file.ts";

// Beside the interop tests, because it looks into /proc, which the unit tests may not.
const PAGE = 4096;

function page(seed: number): Buffer {
  return Buffer.alloc(PAGE, `page ${seed}.`);
}

Deno.test("the file has no name, and what is in it is not readable", async () => {
  const directory = await Deno.makeTempDir({ prefix: "cw-spill-" });
  try {
    const spill = openSpillFile(`${directory}/spill`, PAGE);
    spill.write([0, 1, 9], Buffer.concat([page(1), page(1), page(1)]));
    assert.deepEqual([...Deno.readDirSync(directory)], []);
    const stored = readFileSync(descriptorBelow(directory)!);
    assert.equal(stored.length, 10 * PAGE);
    assert.equal(stored.includes("page 1."), false);
    // Equal pages do not look equal.
    assert.notDeepEqual(stored.subarray(0, PAGE), stored.subarray(PAGE, 2 * PAGE));
    spill.close();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("close() returns before the space is given back, which happens all the same", async () => {
  const directory = await Deno.makeTempDir({ prefix: "cw-spill-" });
  try {
    const spill = openSpillFile(`${directory}/spill`, PAGE);
    spill.write([0], page(1));
    spill.close();
    // The event loop has not turned since: nothing has waited for the file system.
    assert.notEqual(descriptorBelow(directory), undefined);
    while (descriptorBelow(directory) !== undefined) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** What this process has open of the files below `directory`. */
function descriptorBelow(directory: string): string | undefined {
  return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => `/proc/self/fd/${name}`)
    .find((name) => {
      try {
        return Deno.readLinkSync(name).startsWith(`${directory}/`);
      } catch {
        return false;
      }
    });
}
