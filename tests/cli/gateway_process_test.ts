import assert from "node:assert/strict";
import { GATEWAY_FLAGS } from "../../src/cli/demo/children.ts";

const ROOT = new URL("../../", import.meta.url);
const READY = /^ready http=(http:\/\/127\.0\.0\.1:\d+) link=(127\.0\.0\.1:\d+) pid=(\d+)$/;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A command as `deno task causeway` runs it, with the rights of a gateway and no more. */
function command(...args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--cached-only", ...GATEWAY_FLAGS, "main.ts", ...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function run(...args: string[]): Promise<Ended> {
  const { code, stdout, stderr } = await command(...args).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout).trim(), err: decoder.decode(stderr).trim() };
}

/** A gateway of a fresh site in a process of its own; stopped and removed at the end. */
async function withGateway(
  body: (gateway: {
    readonly child: Deno.ChildProcess;
    readonly directory: string;
    readonly config: string[];
    readonly url: string;
    readonly ended: Promise<Ended>;
  }) => Promise<void>,
) {
  const directory = await Deno.makeTempDir({ dir: "/tmp", prefix: "cw-cli-" });
  const config = ["--config", `${directory}/site/causeway.json`];
  const loopback = ["--link", "127.0.0.1:0", "--http", "127.0.0.1:0"];
  const made = await run("init", "--site", "west", "--dir", `${directory}/site`, ...loopback);
  assert.equal(made.code, 0, made.err);
  const child = command("gateway", ...config).spawn();
  const ready = Promise.withResolvers<string>();
  const out = collect(child.stdout, (text) => {
    if (text.includes("\n")) ready.resolve(text.split("\n")[0]);
  });
  const err = collect(child.stderr, () => {});
  const ended = child.status.then(async ({ code }) => {
    const texts = { code, out: (await out).trim(), err: (await err).trim() };
    ready.reject(new Error(`The gateway ended: ${texts.err}`));
    return texts;
  });
  try {
    const match = READY.exec(await ready.promise);
    assert.ok(match, await ready.promise);
    assert.equal(Number(match[3]), child.pid);
    await body({ child, directory, config, url: match[1], ended });
  } finally {
    kill(child);
    await ended;
    await Deno.remove(directory, { recursive: true });
  }
}

async function collect(
  stream: ReadableStream<Uint8Array>,
  onText: (text: string) => void,
): Promise<string> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) onText(text += chunk);
  return text;
}

function kill(child: Deno.ChildProcess) {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended.
  }
}

Deno.test("a gateway serves the commands of its site, and stops cleanly", async () => {
  await withGateway(async ({ child, config, ended }) => {
    const cli = (...args: string[]) => run(...args, ...config);
    assert.match((await cli("guests")).out, /^No guests/);

    const definition = JSON.stringify({
      kind: "reference",
      memoryMiB: 16,
      disks: [{ sizeMiB: 8 }],
    });
    const added = await cli("guests", "add", "web", "--definition", definition, "--json");
    assert.equal(added.code, 0, added.err);
    assert.equal(JSON.parse(added.out).runState, "running");
    const again = await cli("guests", "add", "web", "--definition", definition);
    assert.equal(again.code, 0, again.err);
    const other = definition.replace("16", "32");
    const refused = await cli("guests", "add", "web", "--definition", other, "--json");
    assert.equal(refused.code, 1);
    assert.equal(JSON.parse(refused.out).error.code, "guest_exists");
    assert.match(refused.err, /^Cannot register web/);
    assert.equal((await cli("guests", "verify", "web")).out, "web is whole");

    const unknown = await cli("migrate", "web", "--to", "east");
    assert.equal(unknown.code, 1);
    assert.match(unknown.err, /^Cannot use peer east: it is not trusted here\n {2}\S/);
    assert.equal((await cli("migrate", "web", "--to", "east", "--strategy", "post")).code, 2);
    assert.equal((await cli("status", "none")).code, 1);
    assert.deepEqual(JSON.parse((await cli("status", "--json")).out), []);
    assert.deepEqual(JSON.parse((await cli("redirects", "--json")).out), []);
    assert.deepEqual(JSON.parse((await cli("peers", "--json")).out), []);

    assert.equal((await cli("guests", "remove", "web", "--end")).code, 0);
    child.kill("SIGTERM");
    const { code, out, err } = await ended;
    assert.equal(code, 0, err);
    assert.match(out, READY);
    assert.equal(out.split("\n").length, 1);
    for (const line of err.split("\n")) {
      assert.match(line, /^time=\S+ level=\S+ event=\S+ message="/);
    }
    assert.equal((await cli("guests")).code, 5);
  });
});

Deno.test("a second gateway is told that the address is taken, and ends with 1", async () => {
  await withGateway(async ({ directory, url }) => {
    const address = url.replace("http://", "");
    const site = `${directory}/other`;
    await run(
      ...["init", "--site", "other", "--dir", site],
      ...["--link", "127.0.0.1:0", "--http", address],
    );
    const { code, out, err } = await run("gateway", "--config", `${site}/causeway.json`);
    assert.equal(code, 1);
    assert.equal(out, "");
    assert.match(err, new RegExp(`^Cannot serve the API on ${address}: another program`));
    assert.doesNotMatch(err, /^ +at /m);
  });
});

Deno.test("a second gateway of the same site touches nothing, names the first and ends with 1", async () => {
  await withGateway(async ({ child, config }) => {
    const definition = '{"kind":"reference","memoryMiB":16}';
    await run("guests", "add", "web", "--definition", definition, ...config);
    const { code, out, err } = await run("gateway", ...config);
    assert.equal(code, 1);
    assert.equal(out, "");
    assert.match(err, new RegExp(`^Cannot start: .* runs already \\(pid ${child.pid}\\)`));
    const verified = await run("guests", "verify", "web", ...config);
    assert.equal(verified.out, "web is whole");
    await run("guests", "remove", "web", "--end", ...config);
  });
});

Deno.test("a machine outlives its gateway, which finds it again after a kill", async () => {
  await withGateway(async ({ child, config, ended }) => {
    const definition = '{"kind":"reference","memoryMiB":16}';
    await run("guests", "add", "web", "--definition", definition, ...config);
    child.kill("SIGKILL");
    await ended;
    const next = command("gateway", ...config).spawn();
    const err = collect(next.stderr, () => {});
    const first = await new Promise<string>((resolve) => {
      void collect(next.stdout, (text) => text.includes("\n") && resolve(text.trim()));
    });
    try {
      assert.match(first, READY);
      const [guest] = JSON.parse((await run("guests", "--json", ...config)).out);
      assert.equal(guest.runState, "running");
      assert.equal((await run("guests", "verify", "web", ...config)).code, 0);
      assert.equal((await run("guests", "remove", "web", "--end", ...config)).code, 0);
      next.kill("SIGINT");
      assert.equal((await next.status).code, 0);
    } finally {
      kill(next);
      await err;
    }
  });
});

Deno.test("the gateways of the demo have the rights of the task", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const flags = (task: string) =>
    tasks[task].split(" ").filter((word: string) => word.startsWith("--")).sort();
  assert.deepEqual(flags("gateway"), [...GATEWAY_FLAGS].sort());
  assert.deepEqual(flags("causeway"), [...GATEWAY_FLAGS].sort());
});

Deno.test("help and usage errors need no right beyond those of the task", async () => {
  const [help, usage] = await Promise.all([run("migrate", "--help"), run("migrate")]);
  assert.equal(help.code, 0, help.err);
  assert.match(help.out, /--max-downtime/);
  assert.equal(usage.code, 2, usage.err);
  assert.match(usage.err, /^error: /);
});
