import assert from "node:assert/strict";
import { parseQmpMessage } from "./messages.ts";

const GREETING = '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, ' +
  '"package": ""}, "capabilities": ["oob"]}}';

for (
  const [line, expected] of [
    [GREETING, { kind: "greeting", version: "10.0.2", oob: true }],
    ['{"return": {"a": 1}, "id": 7}', { kind: "return", id: 7, value: { a: 1 } }],
    [
      '{"id": 8, "error": {"class": "CommandNotFound", "desc": "no"}}',
      { kind: "error", id: 8, errorClass: "CommandNotFound", description: "no" },
    ],
    [
      '{"timestamp": {"seconds": 1}, "event": "STOP"}',
      { kind: "event", event: { name: "STOP", data: {} } },
    ],
    [
      '{"event": "MIGRATION", "data": {"status": "device"}}',
      { kind: "event", event: { name: "MIGRATION", data: { status: "device" } } },
    ],
  ] as const
) {
  Deno.test(`${line.slice(0, 40)} is read as ${expected.kind}`, () => {
    assert.deepEqual(parseQmpMessage(line), expected);
  });
}

for (const line of ["", "nonsense", "[1]", "null", '{"x": 1}', '{"QMP": {"version": {}}}']) {
  Deno.test(`the line ${JSON.stringify(line)} is refused`, () => {
    assert.throws(() => parseQmpMessage(line), { code: "qmp_protocol" });
  });
}

Deno.test("an error whose words are no texts is still an error", () => {
  const line = '{"error":{"class":{"toString":1},"desc":[[]]},"id":1}';
  assert.deepEqual(parseQmpMessage(line), {
    kind: "error",
    id: 1,
    errorClass: "GenericError",
    description: "no description",
  });
});
