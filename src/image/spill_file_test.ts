import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { openSpillFile } from "./spill_file.ts";

const PAGE = 4096;

function page(seed: number): Buffer {
  return Buffer.alloc(PAGE, `page ${seed}.`);
}

async function inDirectory(test: (directory: string) => void): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "cw-spill-" });
  try {
    test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("pages come back from the file, each as it was written last", () =>
  inDirectory((directory) => {
    const groups = fc.array(
      fc.uniqueArray(fc.nat(200), { minLength: 1, maxLength: 64 }),
      { minLength: 1, maxLength: 8 },
    );
    let file = 0;
    fc.assert(
      fc.property(groups, (groups) => {
        const spill = openSpillFile(`${directory}/${file++}`, PAGE);
        const last = new Map<number, { number: number; seed: number }>();
        groups.forEach((pages, group) => {
          pages.sort((a, b) => a - b);
          const seeds = pages.map((each) => 1000 * group + each);
          const first = spill.write(pages, Buffer.concat(seeds.map(page)));
          pages.forEach((each, i) => last.set(each, { number: first + i, seed: seeds[i] }));
        });
        const into = Buffer.alloc(PAGE);
        for (const [each, { number, seed }] of last) {
          spill.read(each, number, into);
          assert.deepEqual(into, page(seed));
        }
        spill.close();
      }),
      { numRuns: 20, endOnFailure: true },
    );
  }));

Deno.test("many writes cross from one nonce to the next", () =>
  inDirectory((directory) => {
    const pageBytes = 64;
    const spill = openSpillFile(`${directory}/spill`, pageBytes);
    const pages = Array.from({ length: 63 }, (_, i) => i);
    const into = Buffer.alloc(pageBytes);
    for (let write = 0; write < 2200; write++) {
      const bytes = Buffer.alloc(63 * pageBytes, `${write},`);
      const first = spill.write(pages, bytes);
      if (write % 10 !== 0 && write < 1030) continue;
      for (const place of [0, 31, 62]) {
        spill.read(place, first + place, into);
        const expected = Buffer.alloc(63 * pageBytes, `${write},`);
        assert.deepEqual(into, expected.subarray(place * pageBytes, (place + 1) * pageBytes));
      }
    }
    spill.close();
  }));

Deno.test("a path that cannot be used is image_io", () =>
  inDirectory((directory) => {
    assert.throws(
      () => openSpillFile(`${directory}/missing/spill`, PAGE),
      (thrown) => thrown instanceof GatewayError && thrown.code === "image_io",
    );
    const spill = openSpillFile(`${directory}/spill`, PAGE);
    spill.close();
    spill.close();
    assert.throws(
      () => spill.write([0], page(0)),
      (thrown) => thrown instanceof GatewayError && thrown.code === "image_io",
    );
  }));
