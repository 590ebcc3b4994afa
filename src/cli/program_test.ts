import assert from "node:assert/strict";
import { runCommand as run } from "./testing/served_site.ts";

async function inDirectory(body: (dir: string) => Promise<void>) {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("wrong usage ends with 2 and says what is right", async () => {
  const cases: [string[], RegExp][] = [
    [[], /Usage: causeway/],
    [["fly"], /unknown command 'fly'/],
    [["migrate", "web"], /--to <peer>/],
    [["migrate", "web", "--to", "b", "--max-downtime", "soon"], /whole number/],
    [["migrate", "web", "--to", "b", "--fast"], /unknown option '--fast'/],
    [["demo", "--guest", "cat"], /reference or qemu/],
    [["trust", "--peer", "b"], /--certificate FILE/],
    [["status", "--config", "/nonexistent/causeway.json"], /Cannot use configuration/],
    [["experiment"], /missing required argument 'file'/],
    [["experiment", "/nonexistent/s.json"], /Cannot read scenario \/nonexistent\/s\.json/],
    [["experiment", "compare", "/nonexistent/a", "/nonexistent/b"], /has no experiment\.json/],
    [["emulate", "--profile", "metro"], /--listen <addr>/],
  ];
  for (const [args, message] of cases) {
    const { code, err } = await run(...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(err, message);
  }
});

Deno.test("wrong usage with --json answers with the error as one line of JSON", async () => {
  const cases: [string[], RegExp][] = [
    [["bogus", "--json"], /unknown command 'bogus'/],
    [["init", "--dir", "x", "--json"], /--site <name>/],
    [["--json", "migrate", "web"], /--to <peer>/],
    [["migrate", "web", "--to", "b", "--weight", "big", "--json"], /whole number/],
    [["status", "--fast", "--json"], /unknown option '--fast'/],
    [["--json"], /none is given/],
  ];
  for (const [args, message] of cases) {
    const { code, out } = await run(...args);
    assert.equal(code, 2, args.join(" "));
    const { error } = JSON.parse(out);
    assert.equal(error.code, "request_invalid");
    assert.match(error.message, message);
    assert.match(error.message, /^Cannot [^\n]+$/);
    assert.match(error.hint, /--help/);
  }
});

Deno.test("a profile or an address that cannot be used is wrong usage", () =>
  inDirectory(async (dir) => {
    await Deno.writeTextFile(`${dir}/bad.json`, '{ "name": "bad", "delayMs": "long" }');
    const relay = (profile: string, listen = "127.0.0.1:0") => [
      ...["emulate", "--profile", profile, "--listen", listen, "--to", "127.0.0.1:9"],
    ];
    const cases: [string[], string][] = [
      [relay("nope"), "profile_not_found"],
      [relay(`${dir}/bad.json`), "profile_invalid"],
      [relay("metro", "xx"), "address_invalid"],
      [["demo", "--profile", "nope"], "profile_not_found"],
      [["demo", "--profile", `${dir}/bad.json`], "profile_invalid"],
    ];
    for (const [args, expected] of cases) {
      const { code, out, err } = await run(...args, "--json");
      assert.equal(code, 2, `${args.join(" ")}: ${err}`);
      assert.match(err, /^Cannot /);
      assert.equal(JSON.parse(out.split("\n").at(-1)!).error.code, expected);
    }
  }));

Deno.test("a demo that fails says with --json that nothing was verified, and why", async () => {
  const { code, out } = await run("demo", "--profile", "nope", "--json");
  assert.equal(code, 2);
  const last = JSON.parse(out.split("\n").at(-1)!);
  assert.equal(last.verified, false);
  assert.equal(last.plainCopyBytes, null);
  assert.equal(last.profile, "nope");
  assert.equal(last.error.code, "profile_not_found");
});

Deno.test("emulate --print-tc prints a script and listens nowhere", async () => {
  const { code, out } = await run("emulate", "--profile", "metro", "--print-tc");
  assert.equal(code, 0);
  assert.match(out, /^tc qdisc replace dev ifb0 root tbf rate 200000000bit /m);
  assert.match(out, /^tc qdisc replace dev \$RIGHT root netem .* delay 2ms$/m);
});

Deno.test("help is an answer, for the whole and for each command", async () => {
  const { code, out } = await run("--help");
  assert.equal(code, 0);
  for (
    const command of [
      ...["init", "trust", "gateway", "migrate", "status", "cancel", "switchover", "rollback"],
      ...["hold", "change", "answer", "guests", "peers", "redirects", "plan", "emulate", "demo"],
      ...["experiment"],
    ]
  ) {
    assert.match(out, new RegExp(`^  ${command}\\b`, "m"));
    const own = await run(command, "--help");
    assert.equal(own.code, 0);
    assert.match(own.out, /--json/, command);
  }
});

Deno.test("init answers with the fingerprint, and as JSON with every path", () =>
  inDirectory(async (dir) => {
    const site = await run("init", "--site", "west", "--dir", `${dir}/west`);
    assert.equal(site.code, 0);
    assert.match(site.out, /^sha256:[0-9a-f]{64}\n/);
    const json = await run("init", "--json", "--site", "east", "--dir", `${dir}/east`);
    const made = JSON.parse(json.out);
    assert.match(made.fingerprint, /^sha256:/);
    assert.equal(made.configPath, `${dir}/east/causeway.json`);

    const trusted = await run(
      ...["trust", "--config", `${dir}/west/causeway.json`, "--peer", "east"],
      ...["--certificate", made.certificatePath, "--address", "127.0.0.1:9"],
    );
    assert.equal(trusted.code, 0, trusted.err);
    assert.ok(trusted.out.includes(made.fingerprint));
    const again = await run("init", "--site", "west", "--dir", `${dir}/west`, "--json");
    assert.equal(again.code, 1);
    assert.match(again.err, /^Cannot initialise/);
    assert.equal(JSON.parse(again.out).error.code, "site_exists");
  }));

Deno.test("a gateway that does not run ends every command of the API with 5", () =>
  inDirectory(async (dir) => {
    const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = free.addr;
    free.close();
    await run("init", "--site", "west", "--dir", `${dir}/w`, "--http", `127.0.0.1:${port}`);
    const config = ["--config", `${dir}/w/causeway.json`];
    const commands = [
      ["status"],
      ["status", "x"],
      ["migrate", "web", "--to", "east"],
      ["migrate", "web", "--to", "east", "--watch"],
      ["cancel", "x"],
      ["change", "x", "--weight", "5"],
      ["answer", "x", "--accept"],
      ["guests"],
      ["guests", "remove", "web"],
      ["peers"],
      ["redirects"],
      ["plan", "web", "--to", "east"],
    ];
    for (const command of commands) {
      const { code, err } = await run(...command, ...config);
      assert.equal(code, 5, `${command.join(" ")}: ${err}`);
      assert.match(err, /^Cannot reach the gateway at 127\.0\.0\.1:/);
      assert.match(err, /causeway gateway --config/);
    }
  }));
