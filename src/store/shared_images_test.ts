import assert from "node:assert/strict";
import { hintOf, nameBuffer, nameContent, UNIT_BYTES } from "../image/content_name.ts";
import { SharedImages } from "./shared_images.ts";
import { inDirectory, TestStore, unit } from "./testing/open_store.ts";

function nameOf(content: Uint8Array): Uint32Array {
  const name = nameBuffer();
  nameContent(content, name);
  return name;
}

/** An image of some units, a hole in its middle and a piece that is no whole unit. */
function writeImage(path: string, seeds: readonly number[]): void {
  const bytes = new Uint8Array((seeds.length + 300) * UNIT_BYTES + 100);
  const half = seeds.length >>> 1;
  seeds.forEach((seed, i) => bytes.set(unit(seed), (i < half ? i : i + 300) * UNIT_BYTES));
  Deno.writeFileSync(path, bytes);
}

const range = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);

Deno.test("everybody may refer to shared images, of which nothing is stored", () =>
  inDirectory(async (directory) => {
    writeImage(`${directory}/a`, range(0, 300));
    writeImage(`${directory}/b`, range(200, 300));
    const { store } = new TestStore(`${directory}/store`, 10);
    await store.shared.add(`${directory}/a`);
    await store.shared.add(`${directory}/b`);
    assert.equal(store.shared.count, 500);
    const into = new Uint8Array(UNIT_BYTES);
    for (const seed of range(0, 500)) {
      assert.ok(store.get("anybody", nameOf(unit(seed)), into));
      assert.deepEqual(into, unit(seed));
    }
    assert.equal(store.get("anybody", nameOf(unit(500)), into), false);
    assert.equal(store.get("anybody", nameOf(new Uint8Array(UNIT_BYTES)), into), false);
    assert.equal(store.unitCount, 0);
    const hints = range(0, 500).map((seed) => hintOf(nameOf(unit(seed)))).sort((a, b) => a - b);
    assert.deepEqual([...store.offer("move", "anybody")], hints);
    store.close();
  }));

Deno.test("a shared image that has changed gives nothing of what it was", () =>
  inDirectory(async (directory) => {
    const path = `${directory}/image`;
    writeImage(path, range(0, 20));
    const shared = new SharedImages(7);
    await shared.add(path);
    const file = Deno.openSync(path, { write: true });
    file.writeSync(unit(99));
    file.truncateSync(305 * UNIT_BYTES);
    file.close();
    const into = new Uint8Array(UNIT_BYTES);
    assert.equal(shared.get(nameOf(unit(0)), into), false);
    assert.equal(shared.get(nameOf(unit(99)), into), false);
    assert.equal(shared.get(nameOf(unit(19)), into), false);
    assert.equal(shared.get(nameOf(unit(1)), into), true);
    assert.deepEqual(into, unit(1));
    shared.close();
  }));

Deno.test("a store may be closed while an image is being read", () =>
  inDirectory(async (directory) => {
    writeImage(`${directory}/image`, range(0, 1000));
    const shared = new SharedImages(7);
    const adding = shared.add(`${directory}/image`);
    shared.close();
    await adding;
    await assert.rejects(new SharedImages(7).add(`${directory}/missing`));
  }));
