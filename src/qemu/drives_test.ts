import assert from "node:assert/strict";
import { queryBlockAnswer } from "./answers.ts";
import { describeDrive, drivesOf } from "./drives.ts";

/** An entry of `query-block` as QEMU 10.0 gives it, shortened to what is read. */
function block(device: string, qdev: string | undefined, file: string | null, ro = false) {
  const image = { "virtual-size": 1024, filename: file, format: "raw" };
  const inserted = { "node-name": `node-${file}`, drv: "raw", ro, file, image };
  return { device, qdev, removable: false, ...(file === null ? {} : { inserted }) };
}

Deno.test("a disk is known by its device id, whatever way it was attached", () => {
  const answer = queryBlockAnswer.parse([
    block("", "/machine/peripheral/vd0/virtio-backend", "a"),
    block("hd", "sata0", "b"),
    block("virtio0", "/machine/peripheral-anon/device[1]/virtio-backend", "c"),
    block("pflash0", "/machine/system.flash0", "d"),
    block("", "/machine/system.flash1", "e"),
    block("old", undefined, "f"),
  ]);
  assert.deepEqual(
    drivesOf(answer).map(({ id, path }) => `${id}=${path}`),
    ["old=f", "sata0=b", "system.flash0=d", "system.flash1=e", "vd0=a", "virtio0=c"],
  );
});

Deno.test("empty trays and drives of no device do not travel", () => {
  const answer = queryBlockAnswer.parse([
    block("cd", "cd0", null),
    block("", undefined, "a"),
  ]);
  assert.deepEqual(drivesOf(answer), []);
});

Deno.test("only a plain file name is a path; what crosses the link holds no node names", () => {
  const [nbd, json] = drivesOf(queryBlockAnswer.parse([
    block("a", "a", "nbd://host/disk", true),
    block("b", "b", 'json:{"driver": "raw"}'),
  ]));
  assert.deepEqual(describeDrive(nbd), {
    id: "a",
    sizeBytes: 1024,
    allocatedBytes: null,
    format: "raw",
    readOnly: true,
    path: null,
  });
  assert.equal(json.path, null);
});

Deno.test("what an image takes is added up over its backing images, or unknown", () => {
  const allocatedBytes = (image: Record<string, unknown>) => {
    const entry = block("vd", "vd", "top");
    const inserted = { ...entry.inserted!, image: { ...entry.inserted!.image, ...image } };
    return drivesOf(queryBlockAnswer.parse([{ ...entry, inserted }]))[0].allocatedBytes;
  };
  const layer = (image: Record<string, unknown>) => ({
    "virtual-size": 1024,
    filename: "base",
    ...image,
  });
  assert.equal(allocatedBytes({ "actual-size": 300 }), 300);
  const base = layer({ "actual-size": 200, "backing-image": layer({ "actual-size": 50 }) });
  assert.equal(allocatedBytes({ "actual-size": 300, "backing-image": base }), 550);
  assert.equal(allocatedBytes({ "actual-size": 300, "backing-image": layer({}) }), null);
  assert.equal(allocatedBytes({}), null);
});
