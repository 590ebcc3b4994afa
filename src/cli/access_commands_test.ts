import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { withServedSite } from "./testing/served_site.ts";

Deno.test("tokens lists what there is, in columns", () =>
  withServedSite({}, async ({ run, calls }) => {
    for (const command of [["tokens"], ["tokens", "list"]]) {
      const { code, out, err } = await run(...command);
      assert.equal(code, 0, err);
      assert.match(
        out,
        /^ID +NAME +ROLE +STATE +MADE +BY +EXPIRES +LAST USED\nt-1 +ada +operate +/,
      );
    }
    assert.deepEqual(calls, [["tokens"], ["tokens"]]);
  }));

Deno.test("tokens create shows the token once, or writes it to a new file of its owner's", () =>
  withServedSite({}, async ({ run, calls, directory }) => {
    const create = (...more: string[]) =>
      run("tokens", "create", "--name", "ada", "--role", "operate", ...more);
    const shown = await create();
    assert.equal(shown.code, 0, shown.err);
    assert.equal(shown.out, "the-text");
    assert.deepEqual(calls[0], [
      "createToken",
      { name: "ada", role: "operate", expiresAt: null },
      "test",
    ]);
    // The virtual clock of the command begins with 2024.
    await create("--expires", "30d");
    await create("--expires", "2030-01-31T00:00:00Z");
    assert.deepEqual(
      calls.slice(1).map(([, request]) => (request as { expiresAt: string }).expiresAt),
      ["2024-01-31T00:00:00.000Z", "2030-01-31T00:00:00Z"],
    );
    const file = `${directory}/token`;
    const written = await create("--out", file, "--json");
    assert.equal(written.code, 0, written.err);
    assert.equal(await Deno.readTextFile(file), "the-text\n");
    assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600);
    assert.ok(!(written.out + written.err).includes("the-text"));
    const made = calls.length;
    const again = await create("--out", file);
    assert.equal(again.code, 2);
    assert.match(again.err, /^Cannot write a token to .*exists/);
    assert.equal(calls.length, made, "nothing was made that could not be kept");
    assert.equal((await create("--expires", "soon")).code, 2);
    assert.equal((await run("tokens", "create", "--name", "a", "--role", "root")).code, 2);
  }));

Deno.test("a token that the gateway refuses leaves no file behind", () =>
  withServedSite({
    createToken() {
      throw new GatewayError("token_name_taken", "Cannot make token ada: there is one", {
        hint: "Use another",
      });
    },
  }, async ({ run, directory }) => {
    const file = `${directory}/token`;
    const { code } = await run(
      ...["tokens", "create", "--name", "ada", "--role", "read", "--out", file],
    );
    assert.equal(code, 1);
    await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
  }));

Deno.test("tokens revoke names the token that it made worthless", () =>
  withServedSite({}, async ({ run, calls }) => {
    const { code, out } = await run("tokens", "revoke", "ada");
    assert.equal(code, 0);
    assert.equal(out, "ada (t-1) opens nothing any more");
    assert.deepEqual(calls, [["revokeToken", "ada", "test"]]);
  }));

Deno.test("audit passes on what is asked for and shows an entry a line", () =>
  withServedSite({}, async ({ run, calls }) => {
    const { code, out } = await run("audit", "--limit", "5", "--before", "90", "--kind", "x");
    assert.equal(code, 0);
    assert.equal(out, "9  2026-01-02T03:04:05.000Z  x  {}");
    assert.deepEqual(calls, [["audit", { limit: 5, before: 90, kind: "x" }]]);
  }));

Deno.test("commands work with a token from another file, when the site's own was moved away", () =>
  withServedSite({}, async ({ run, directory }) => {
    await Deno.rename(`${directory}/west/api-token`, `${directory}/kept`);
    const without = await run("guests");
    assert.equal(without.code, 2);
    assert.match(without.err, /^Cannot read the API token in .*\n.*--token-file/);
    const { code, err } = await run("guests", "--token-file", `${directory}/kept`);
    assert.equal(code, 0, err);
  }));

Deno.test("keys and peers are changed by commands that need no gateway", () =>
  withServedSite({}, async ({ run, directory }) => {
    const first = await run("rotate-key", "--json");
    assert.equal(first.code, 0, first.err);
    assert.equal(JSON.parse(first.out).generation, 1);
    assert.match((await run("rotate-key")).out, /^generation 2 of the link key of sha256:/);
    assert.equal((await run("rotate-key", "--generation", "2")).code, 2);
    const prepared = await run("rotate-authority");
    assert.match(
      prepared.out,
      /^sha256:\w+\ncertificate {4}\S+site-2\.crt\nNothing has changed yet/,
    );
    const certificate = `${directory}/west/site-2.crt`;
    assert.match((await run("rotate-authority", "--use", certificate)).out, /is sha256:\w+ now/);
    // What the site was can be a peer of what it is: enough to try the commands about peers.
    const trust = (...more: string[]) =>
      run("trust", "--peer", "east", "--certificate", `${directory}/west/site.crt`, ...more);
    assert.equal((await trust("--add")).code, 1);
    assert.equal((await trust()).code, 0);
    assert.equal((await trust("--add")).code, 0);
    assert.equal((await trust("--add", "--replace")).code, 2);
    assert.equal((await run("untrust", "--peer", "east")).out, "east is not trusted any more");
    assert.equal((await run("untrust", "--peer", "east")).code, 1);
  }));
