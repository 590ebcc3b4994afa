import assert from "node:assert/strict";
import { initSite } from "../../src/config/init.ts";
import { trustPeer } from "../../src/config/trust.ts";
import { causeway, Serving } from "../../src/testing/site_process.ts";

interface Found {
  readonly check: string;
  readonly verdict: string;
  readonly seen: string;
}

/** Verdict and sight of one check of a site, with the rights that the task gives. */
async function doctor(config: string): Promise<Map<string, Found>> {
  const { stdout, stderr } = await causeway("--json", "doctor", "--config", config);
  assert.notEqual(stdout, "", stderr);
  const { findings } = JSON.parse(stdout) as { findings: Found[] };
  return new Map(findings.map((each) => [each.check, each]));
}

const LINK = "peer b: link (UDP) and trust";

Deno.test("the doctor sees a peer that is not there, does not trust, and does", async () => {
  await using made = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "cw-doctor-" });
  made.defer(() => Deno.remove(directory, { recursive: true }));
  const address = `127.0.0.1:${freePort()}`;
  const site = (name: string, link: string) =>
    initSite({ site: name, dir: `${directory}/${name}`, link, http: "127.0.0.1:0" });
  const [a, b] = [await site("a", "127.0.0.1:0"), await site("b", address)];
  const trust = (config: string, peer: string, certificate: string, at?: string) =>
    trustPeer({ config, peer, certificate, ...(at ? { address: at } : {}) });
  await trust(a.configPath, "b", b.certificatePath, address);

  const alone = await doctor(a.configPath);
  assert.equal(alone.get(LINK)?.verdict, "fail", "nobody answers");
  assert.equal(alone.get("peer b: TCP")?.verdict, "warn");

  made.use(await Serving.start("gateway", "--config", b.configPath));
  const stranger = await doctor(a.configPath);
  assert.equal(stranger.get(LINK)?.verdict, "fail");
  assert.match(stranger.get(LINK)!.seen, /does not trust/);
  assert.equal(stranger.get("peer b: TCP")?.verdict, "ok");

  await trust(b.configPath, "a", a.certificatePath);
  assert.equal((await doctor(a.configPath)).get(LINK)?.verdict, "ok", "dialled from here");

  made.use(await Serving.start("gateway", "--config", a.configPath));
  const deadlineMs = performance.now() + 30_000;
  for (;;) {
    const found = await doctor(a.configPath);
    const clock = found.get("peer b: clock");
    if (clock?.verdict !== "ok" && performance.now() < deadlineMs) continue;
    assert.equal(clock?.verdict, "ok", JSON.stringify([...found.values()]));
    assert.equal(found.get("gateway")?.verdict, "ok");
    assert.equal(found.get("link port (TCP)")?.verdict, "ok");
    assert.equal(found.get(LINK)?.verdict, "ok");
    break;
  }
});

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
