import assert from "node:assert/strict";
import { memoryFindings } from "./memory_room.ts";

const HOST = { availableBytes: 100, totalBytes: 300 };

for (
  const [name, neededBytes, host, expected] of [
    ["what is free is enough", 100, HOST, []],
    ["more than is free is a warning", 101, HOST, ["warning memory_too_little"]],
    ["all that the host has is a warning still", 300, HOST, ["warning memory_too_little"]],
    ["more than the host has is refused", 301, HOST, ["refusal memory_too_little"]],
    ["nothing is known of another host", 301, null, []],
  ] as const
) {
  Deno.test(name, () => {
    const findings = memoryFindings(neededBytes, host);
    assert.deepEqual(findings.map(({ severity, code }) => `${severity} ${code}`), expected);
  });
}
