import assert from "node:assert/strict";
import { classifyConnection, type ConnectionKind } from "./classify.ts";

const CASES: [string, number[], boolean, ConnectionKind][] = [
  ["main", [0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3], false, "main"],
  ["another file version", [0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 4], false, "other"],
  ["multifd", [0x11, 0x22, 0x33, 0x44], false, "multifd"],
  ["TLS", [0x16, 0x03], false, "tls"],
  ["a resumed main channel where one is awaited", [0x08], true, "recovery"],
  ["a resumed main channel where none is awaited", [0x08], false, "other"],
  ["main where a resumed one is awaited", [0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3], true, "main"],
  ["a bare memory record, as on a preempt channel", [0x00], false, "other"],
];

for (const [what, bytes, recovery, kind] of CASES) {
  Deno.test(`${what} is told by its first ${bytes.length} bytes, and no sooner`, () => {
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(classifyConnection(Uint8Array.from(bytes.slice(0, length)), { recovery }), null);
    }
    assert.equal(classifyConnection(Uint8Array.from(bytes), { recovery }), kind);
    assert.equal(classifyConnection(Uint8Array.from([...bytes, 1, 2, 3]), { recovery }), kind);
  });
}
