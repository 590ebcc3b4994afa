import assert from "node:assert/strict";
import { systemClock } from "../host/system_clock.ts";
import { BLOCK_BYTES } from "../image/block_digest.ts";
import { BLOCK_KNOWN, BLOCK_UNKNOWN, BLOCK_ZERO, BlockMap } from "../image/block_map.ts";
import type { ImageFile } from "../migration/ports.ts";
import { identityOf, isPlainQcow2 } from "./image_file.ts";
import { ImageRecordFiles } from "./image_records.ts";

const SIZE_BYTES = 40 * BLOCK_BYTES;

/** A raw image, the records of it, and what the gateway logs. */
class World implements AsyncDisposable {
  readonly log: string[] = [];
  readonly records: ImageRecordFiles;
  readonly image: ImageFile;
  readonly #open: Deno.FsFile;

  private constructor(readonly directory: string) {
    this.image = { path: `${directory}/disk.raw`, format: "raw", sizeBytes: SIZE_BYTES };
    Deno.writeFileSync(this.image.path, new Uint8Array(SIZE_BYTES).fill(1));
    // A machine has it open all the while.
    this.#open = Deno.openSync(this.image.path, { read: true });
    this.records = new ImageRecordFiles({
      directory: `${directory}/disks`,
      clock: systemClock(),
      log: (level, message) => this.log.push(`${level} ${message}`),
    });
  }

  static async make(): Promise<World> {
    return new World(await Deno.makeTempDir({ prefix: "cw-records-" }));
  }

  async tracked(image = this.image) {
    const tracked = await this.records.track(image);
    assert.ok(tracked);
    return tracked;
  }

  async keep(image = this.image): Promise<void> {
    await (await this.tracked(image)).keep(someMap());
    await this.records.idle();
  }

  async take(image = this.image) {
    return await (await this.tracked(image)).take();
  }

  /** The one record that there is; null without one. */
  recordFile(): string | null {
    try {
      const files = [...Deno.readDirSync(`${this.directory}/disks`)];
      assert.ok(files.length <= 1);
      return files.length === 0 ? null : `${this.directory}/disks/${files[0].name}`;
    } catch {
      return null;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open.close();
    await Deno.remove(this.directory, { recursive: true });
  }
}

function someMap(): BlockMap {
  const map = new BlockMap(SIZE_BYTES);
  map.setRange(3, 10, BLOCK_ZERO);
  map.setDigest(20, Uint32Array.of(1, 2, 3, 4));
  return map;
}

function assertSomeMap(map: BlockMap | null): void {
  assert.ok(map);
  assert.equal(map.stateOf(0), BLOCK_UNKNOWN);
  assert.equal(map.stateOf(12), BLOCK_ZERO);
  assert.equal(map.stateOf(20), BLOCK_KNOWN);
  assert.ok(map.hasDigest(20, Uint32Array.of(1, 2, 3, 4)));
}

Deno.test("what an untouched image holds is known once, for the gateway's user alone", async () => {
  await using world = await World.make();
  assert.equal(await world.take(), null);
  await world.keep();
  assert.equal(Deno.statSync(world.recordFile()!).mode! & 0o777, 0o600);
  assert.equal(Deno.statSync(`${world.directory}/disks`).mode! & 0o777, 0o700);
  // Reading it changes nothing.
  await Deno.readFile(world.image.path);
  assertSomeMap(await world.take());
  assert.equal(world.recordFile(), null);
  assert.equal(await world.take(), null);
  assert.deepEqual(world.log, []);
});

const TOUCHES: Record<string, (path: string) => void | Promise<void>> = {
  "written, and its time of modification put back": (path) => {
    const { mtime } = Deno.statSync(path);
    using file = Deno.openSync(path, { write: true });
    file.writeSync(Uint8Array.of(9));
    file.utimeSync(mtime!, mtime!);
  },
  "written with the bytes that it had": (path) => {
    using file = Deno.openSync(path, { write: true });
    file.writeSync(Uint8Array.of(1));
  },
  "made longer and shorter again": (path) => {
    Deno.truncateSync(path, SIZE_BYTES + 1);
    Deno.truncateSync(path, SIZE_BYTES);
  },
};

for (const [what, touch] of Object.entries(TOUCHES)) {
  Deno.test(`an image that was ${what} is not known any more`, async () => {
    await using world = await World.make();
    await world.keep();
    await touch(world.image.path);
    assert.equal(await world.take(), null);
    assert.equal(world.recordFile(), null);
    assert.match(world.log.join(), /has changed since/);
  });
}

Deno.test("a file in the place of an image, or a disk of another meaning, is not that image", async () => {
  await using world = await World.make();
  await world.keep();
  const copy = `${world.directory}/copy.raw`;
  await Deno.copyFile(world.image.path, copy);
  await Deno.rename(copy, world.image.path);
  using _open = await Deno.open(world.image.path);
  assert.equal(await world.take(), null);
  await world.keep();
  assert.equal(await world.take({ ...world.image, sizeBytes: SIZE_BYTES - 512 }), null);
  await world.keep();
  assert.equal(await world.take({ ...world.image, format: "qcow2" }), null);
});

Deno.test("an image that somebody touched between its end and its record gets none", async () => {
  await using world = await World.make();
  await (await world.tracked()).keep(someMap());
  using file = await Deno.open(world.image.path, { write: true });
  await file.write(Uint8Array.of(9));
  await world.records.idle();
  assert.equal(world.recordFile(), null);
});

Deno.test("a record that is cut or changed anywhere is told, dropped, and never used", async () => {
  await using world = await World.make();
  await world.keep();
  const whole = await Deno.readFile(world.recordFile()!);
  const path = world.recordFile()!;
  const identity = JSON.stringify(await identityOf(world.image.path));
  for (let at = 0; at < whole.length; at += 23) {
    for (
      const damaged of [
        whole.slice(0, at),
        whole.map((byte, i) => i === at ? byte ^ 4 : byte),
      ]
    ) {
      await Deno.writeFile(path, damaged);
      world.log.length = 0;
      assert.equal(await world.take(), null, `damaged at ${at}`);
      assert.equal(world.log.length > 0, true);
      assert.equal(world.recordFile(), null);
    }
  }
  assert.equal(JSON.stringify(await identityOf(world.image.path)), identity);
  await Deno.writeFile(path, whole);
  assertSomeMap(await world.take());
});

Deno.test("a deleted image takes its record with it", async () => {
  await using world = await World.make();
  await world.keep();
  await world.records.forget(world.image.path);
  assert.equal(world.recordFile(), null);
  await world.records.forget(world.image.path);
  assert.deepEqual(world.log, []);
});

Deno.test("what is no file, not open on this host, or not all of its disk is not recorded", async () => {
  await using world = await World.make();
  const unused = `${world.directory}/unused.raw`;
  await Deno.writeFile(unused, new Uint8Array(512).fill(1));
  const raw = { format: "raw", sizeBytes: 512 };
  assert.equal(await world.records.track({ ...raw, path: unused }), null);
  assert.equal(await world.records.track({ ...raw, path: "/dev/null" }), null);
  assert.equal(await world.records.track({ ...raw, path: `${world.directory}/absent` }), null);
  // A raw image that is used from an offset on, and a format that nobody looks into.
  for (const image of [{ sizeBytes: SIZE_BYTES - 512 }, { format: "vmdk" }, { format: "qcow2" }]) {
    await world.keep({ ...world.image, ...image });
    assert.equal(world.recordFile(), null);
  }
});

Deno.test("a qcow2 image counts only without anything beside it", () => {
  const header = (set: (view: DataView) => void = () => {}) => {
    const view = new DataView(new ArrayBuffer(80));
    view.setUint32(0, 0x514649fb);
    view.setUint32(4, 3);
    set(view);
    return new Uint8Array(view.buffer);
  };
  assert.ok(isPlainQcow2(header()));
  assert.ok(isPlainQcow2(header((view) => view.setUint32(4, 2))));
  assert.ok(
    isPlainQcow2(header((view) => view.setUint32(76, 0b11000))),
    "compression, extended L2",
  );
  assert.ok(!isPlainQcow2(header((view) => view.setUint32(0, 0))), "no qcow2");
  assert.ok(!isPlainQcow2(header((view) => view.setUint32(4, 4))), "a version to come");
  assert.ok(!isPlainQcow2(header((view) => view.setUint32(12, 512))), "a backing image");
  assert.ok(!isPlainQcow2(header((view) => view.setUint32(32, 2))), "encryption");
  assert.ok(!isPlainQcow2(header((view) => view.setUint32(76, 4))), "a data file");
});
