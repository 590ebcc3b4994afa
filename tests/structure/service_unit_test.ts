import assert from "node:assert/strict";
import { ROOT } from "./files.ts";

/** Longest pause before a gateway is back: a machine that it left paused stands still meanwhile. */
const RESTART_MS_MAX = 1_000;

/** The settings of the unit by name, continued lines put together. */
async function unit(): Promise<Map<string, string>> {
  const text = await Deno.readTextFile(new URL("docs/causeway-gateway.service", ROOT));
  const lines = text.split("\n").filter((line) => !line.startsWith("#")).join("\n")
    .replaceAll(/\\\n\s*/g, "").split("\n");
  return new Map(
    lines.filter((line) => line.includes("=")).map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

Deno.test("the systemd unit runs what the task gateway runs, without the task around it", async () => {
  const command = (await unit()).get("ExecStart")!.split(" ");
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const task: string[] = tasks.gateway.split(" ");
  assert.match(command[0], /^\/.*\/deno$/, "systemd wants the whole path");
  assert.deepEqual(command.slice(1, task.length), task.slice(1));
  assert.deepEqual(command.slice(task.length), ["--config", "/etc/causeway/causeway.json"]);
});

Deno.test("the systemd unit has a dead gateway back at once and leaves its machines alone", async () => {
  const settings = await unit();
  assert.equal(settings.get("Restart"), "always");
  assert.equal(settings.get("StartLimitIntervalSec"), "0");
  assert.equal(settings.get("KillMode"), "process");
  const [, number, suffix] = /^(\d+)(ms|s)?$/.exec(settings.get("RestartSec")!)!;
  assert.ok(Number(number) * (suffix === "ms" ? 1 : 1_000) <= RESTART_MS_MAX);
});
