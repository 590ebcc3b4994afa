import assert from "node:assert/strict";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { HELD_BYTES_MAX, HeldEnd } from "./held_end.ts";

const zeros: MemoryItem = { kind: "zeros", block: 0, ranges: Uint32Array.of(0, 1) };
const opaque = (...bytes: number[]): MemoryItem => ({
  kind: "opaque",
  bytes: Uint8Array.from(bytes),
});

Deno.test("opaque items wait until something follows them, and keep their place", () => {
  const end = new HeldEnd();
  assert.deepEqual(end.push([opaque(1), opaque(2)]), []);
  assert.deepEqual(end.push([zeros, opaque(3)]), [opaque(1), opaque(2), zeros]);
  assert.deepEqual(end.release(), [opaque(3)]);
  assert.deepEqual(end.release(), []);
});

Deno.test("a cancelled stream's end is forgotten", () => {
  const end = new HeldEnd();
  end.push([opaque(1)]);
  end.clear();
  assert.deepEqual(end.push([zeros]), [zeros]);
});

Deno.test("of an endless opaque stream only the last part is held", () => {
  const end = new HeldEnd();
  const piece = new Uint8Array(3_000_000).map((_, index) => index);
  let out: MemoryItem[] = [];
  for (let turn = 0; turn < 3; turn++) {
    out = out.concat(end.push([{ kind: "opaque", bytes: piece }]));
  }
  const length = (items: MemoryItem[]) =>
    items.reduce((sum, item) => sum + (item.kind === "opaque" ? item.bytes.length : 0), 0);
  assert.equal(length(out), 9_000_000 - HELD_BYTES_MAX);
  const rest = end.release();
  assert.equal(length(rest), HELD_BYTES_MAX);
  const joined = [...out, ...rest].flatMap((item) => item.kind === "opaque" ? [item.bytes] : []);
  let at = 0;
  for (const bytes of joined) {
    assert.equal(bytes[0], piece[at % piece.length]);
    at += bytes.length;
  }
});
