import assert from "node:assert/strict";
import { runHook } from "./hook.ts";

const shell = (script: string) => ["sh", "-c", script];

Deno.test("a hook reads its document and its output and exit code are told", async () => {
  const outcome = await runHook(shell("cat; echo noted >&2; exit 3"), 10_000, { guest: "g" });
  assert.equal(outcome.exitCode, 3);
  assert.equal(outcome.output, '{"guest":"g"}\n\nnoted');
  assert.ok(outcome.durationMs >= 0);
});

Deno.test("a hook that reads nothing and says much is no different", async () => {
  const outcome = await runHook(
    shell("exec 0<&-; i=0; while [ $i -lt 999 ]; do echo line $i; i=$((i+1)); done"),
    10_000,
    { text: "x".repeat(200_000) },
  );
  assert.equal(outcome.exitCode, 0);
  assert.match(outcome.output, /line 998$/);
  assert.ok(outcome.output.length <= 2_048);
});

Deno.test("a hook that does not end in time is killed, with what it has started still holding on", async () => {
  const outcome = await runHook(shell("trap '' TERM; echo begun; sleep 4"), 200, {});
  assert.equal(outcome.exitCode, null);
  assert.match(outcome.output, /not ended within 200 ms/);
  assert.ok(outcome.durationMs < 10_000);
});

Deno.test("a program that is missing is an outcome", async () => {
  const outcome = await runHook(["/nowhere/fence"], 1_000, {});
  assert.equal(outcome.exitCode, null);
  assert.notEqual(outcome.output, "");
});
