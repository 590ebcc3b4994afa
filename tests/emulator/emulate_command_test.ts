import assert from "node:assert/strict";
import { emulate } from "../../src/emulator/emulate_command.ts";
import type { RelayCounters } from "../../src/emulator/udp_relay.ts";

/** Runs the command; `ready` gives its first line, `stop` ends it and gives all lines. */
function start(options: Partial<Parameters<typeof emulate>[0]> = {}) {
  const lines: string[] = [];
  const controller = new AbortController();
  let onReady = (_line: string) => {};
  const ready = new Promise<string>((resolve) => onReady = resolve);
  const done = emulate(
    { profile: "metro", listen: "127.0.0.1:0", to: "127.0.0.1:9", ...options },
    {
      print: (line) => {
        lines.push(line);
        onReady(line);
      },
      stop: controller.signal,
    },
  );
  return {
    ready,
    done,
    stop: async () => {
      controller.abort();
      assert.equal(await done, 0);
      return lines;
    },
  };
}

Deno.test("emulate says when it is ready and prints its counters at the end", async () => {
  const command = start({ seed: 7 });
  const ready = await command.ready;
  assert.match(ready, /^ready listen=127\.0\.0\.1:\d+ to=127\.0\.0\.1:9 profile=metro seed=7$/);
  const lines = await command.stop();
  assert.match(lines[1], /^forward offered=0 delivered=0 .*queue=0 outage=0 burst=0 loss=0 corr/);
  assert.equal(lines.length, 4);
});

Deno.test("emulate --json prints one object per line", async () => {
  const command = start({ json: true });
  await command.ready;
  const [ready, counters] = (await command.stop()).map((line) => JSON.parse(line));
  assert.equal(ready.event, "ready");
  assert.equal(ready.profile, "metro");
  assert.equal(counters.event, "counters");
  assert.equal(counters.forward.offeredPackets, 0);
});

Deno.test("emulate --counters leaves the final counters in the file", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/counters.json`;
    const command = start({ counters: path });
    await command.ready;
    const counters: RelayCounters = JSON.parse(await Deno.readTextFile(path));
    assert.equal(counters.forward.offeredPackets, 0, "there from the start");
    await command.stop();
    assert.equal(JSON.parse(await Deno.readTextFile(path)).backward.wireBytes, 0);
    assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name), ["counters.json"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("emulate refuses what it cannot do and leaves no socket behind", async () => {
  const first = start();
  const address = /listen=(\S+)/.exec(await first.ready)![1];
  await assert.rejects(start({ listen: address }).done, { code: "address_in_use" });
  await assert.rejects(start({ profile: "atlantis" }).done, { code: "profile_not_found" });
  await assert.rejects(start({ to: "nowhere" }).done, { code: "address_invalid" });
  await assert.rejects(start({ counters: "/no/such/folder/file" }).done, Deno.errors.NotFound);
  await first.stop();
});

Deno.test("SIGTERM ends emulate with its counters and exit code 0", async () => {
  const module = new URL("../../src/emulator/emulate_command.ts", import.meta.url).href;
  const script = `import { emulate } from "${module}";
    const options = { profile: "metro", listen: "127.0.0.1:0", to: "127.0.0.1:9" };
    Deno.exit(await emulate(options, { print: console.log }));`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--config", `${import.meta.dirname}/../../deno.json`, script],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  let text = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    // Signals are listened to before the line is printed.
    if (text === "") child.kill("SIGTERM");
    text += chunk;
  }
  assert.equal((await child.status).code, 0);
  assert.match(text, /^ready listen=/);
  assert.match(text, /\nbackward offered=0/);
});
