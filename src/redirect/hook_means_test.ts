import assert from "node:assert/strict";
import { redirectSettings } from "../guest/addresses.ts";
import { HookMeans } from "./hook_means.ts";
import type { Target } from "./means.ts";

function target(command: string[]): Target {
  return {
    migration: "m",
    guest: "web",
    side: "old",
    peer: "b",
    site: "a",
    stage: "redirecting",
    previous: "prepared",
    isHome: false,
    addresses: [{ ip: "10.1.0.5" }],
    settings: redirectSettings.parse({ device: "br0", means: [{ kind: "hook", command }] }),
  };
}
const hook = (command: string[], timeoutMs = 5_000) =>
  new HookMeans({ kind: "hook", command, timeoutMs });

Deno.test("a hook reads what is to be done as one line of JSON, and its output is told", async () => {
  const command = ["cat"];
  const output = await hook(command).apply(target(command));
  assert.deepEqual(JSON.parse(output), {
    version: 1,
    stage: "redirecting",
    previous: "prepared",
    side: "old",
    guest: "web",
    migration: "m",
    site: "a",
    peer: "b",
    isHome: false,
    addresses: [{ ip: "10.1.0.5" }],
  });
});

Deno.test("a hook that fails, does not end or cannot be run is told with what it said", async () => {
  const cases: [string[], RegExp][] = [
    [["sh", "-c", "echo no route; exit 3"], /ended with 3: no route/],
    [["sleep", "60"], /did not end by itself: not ended within 200 ms/],
    [["/does/not/exist"], /did not end by itself/],
  ];
  for (const [command, expected] of cases) {
    await assert.rejects(
      () => hook(command, 200).apply(target(command)),
      { code: "redirect_failed", message: expected },
    );
  }
});
