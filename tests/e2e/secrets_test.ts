import assert from "node:assert/strict";
import { causeway, causewayJson, Serving, SiteApi } from "../../src/testing/site_process.ts";

Deno.test("a gateway works without the file of its token and without its authority's key", async () => {
  const directory = await Deno.makeTempDir({ prefix: "cw-" });
  try {
    const { configPath, apiTokenPath } = await causewayJson<Record<string, string>>(
      ...["init", "--site", "a", "--dir", `${directory}/a`],
      ...["--link", "127.0.0.1:0", "--http", "127.0.0.1:0"],
    );
    const kept = `${directory}/kept-token`;
    const first = await causeway("rotate-key", "--config", configPath);
    assert.equal(first.code, 0, first.stderr);
    await Deno.rename(`${directory}/a/site.key`, `${directory}/kept-key`);
    {
      await using gateway = await Serving.start("gateway", "--config", configPath);
      await SiteApi.open(gateway, apiTokenPath).then((api) => api.call("GET", "/guests"));
      await Deno.rename(apiTokenPath, kept);
      assert.equal((await gateway.stop()).code, 0);
    }
    await using gateway = await Serving.start("gateway", "--config", configPath);
    const api = await SiteApi.open(gateway, kept);
    assert.deepEqual(await api.call("GET", "/guests"), []);
    const without = await causeway("guests", "--config", configPath);
    assert.equal(without.code, 2);
    const listed = await causeway("tokens", "--config", configPath, "--token-file", kept);
    assert.equal(listed.code, 0, listed.stderr);
    assert.match(listed.stdout, /operator +admin +active/);
    const next = await causeway(
      ...["rotate-key", "--config", configPath, "--authority-key", `${directory}/kept-key`],
    );
    assert.equal(next.code, 0, next.stderr);
    assert.match(next.stdout, /^generation 2 /);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
