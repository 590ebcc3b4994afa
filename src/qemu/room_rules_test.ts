import assert from "node:assert/strict";
import { roomFindings, type RoomNeed } from "./room_rules.ts";

const GIB = 1024 ** 3;

/** A thin image of 100 GiB that holds 10, on storage with `freeGiB` left. */
const thin = (freeGiB: number, other: Partial<RoomNeed> = {}): RoomNeed => ({
  id: "root",
  sizeBytes: 100 * GIB,
  sourceAllocatedBytes: 10 * GIB,
  room: { fileSystem: "fs1", freeBytes: freeGiB * GIB, allocatedBytes: 0 },
  ...other,
});
const told = (...needs: RoomNeed[]) =>
  roomFindings(needs).map(({ severity, code }) => `${severity} ${code}`);

Deno.test("roomFindings() weighs a thin image by what the source has allocated", () => {
  assert.deepEqual(told(thin(9)), ["refusal space_too_little"]);
  assert.deepEqual(told(thin(10)), ["warning space_too_little"]);
  assert.deepEqual(told(thin(100)), []);
});

Deno.test("roomFindings() takes an image of unknown allocation for a full one", () => {
  assert.deepEqual(told(thin(99, { sourceAllocatedBytes: null })), ["refusal space_too_little"]);
  assert.deepEqual(told(thin(100, { sourceAllocatedBytes: null })), []);
});

Deno.test("roomFindings() counts what the image here takes already", () => {
  const room = { fileSystem: "fs1", freeBytes: 4 * GIB, allocatedBytes: 6 * GIB };
  assert.deepEqual(told(thin(0, { room })), ["warning space_too_little"]);
});

Deno.test("roomFindings() adds up images that share a file system, and only those", () => {
  const second = thin(15, { id: "data" });
  assert.deepEqual(told(thin(15), second), ["refusal space_too_little"]);
  const [{ message }] = roomFindings([thin(15), second]);
  assert.match(message, /root, data need 21474836480 bytes/);
  const elsewhere = { ...second, room: { ...second.room, fileSystem: "fs2" } };
  assert.deepEqual(told(thin(15), elsewhere), [
    "warning space_too_little",
    "warning space_too_little",
  ]);
});

Deno.test("roomFindings() never needs more than the disk's size, whatever metadata takes", () => {
  assert.deepEqual(told(thin(100, { sourceAllocatedBytes: 101 * GIB })), []);
});
