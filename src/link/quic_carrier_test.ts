import assert from "node:assert/strict";
import { loadConfig } from "../config/config.ts";
import { trustPeer } from "../config/trust.ts";
import { RECORD_BYTES_MAX } from "../wire/limits.ts";
import { openEndpoint } from "./endpoint.ts";
import { testCarrier } from "../testing/carrier_suite.ts";
import { clock, failsWith, open, withPair, withSites } from "../testing/quic_support.ts";

testCarrier("quic");

Deno.test("copy() sends a short record beside the streams, and leaves out a long one", () =>
  withPair(async ({ dial }) => {
    const [near, far] = await dial();
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    far.receive(resolve);
    near.copy!(new Uint8Array(RECORD_BYTES_MAX));
    near.copy!(new Uint8Array([1, 2, 3]));
    assert.deepEqual(new Uint8Array(await promise), new Uint8Array([1, 2, 3]));
  }));

Deno.test("openEndpoint() says when the address is in use, by UDP or by TCP", () =>
  withSites(async (sites) => {
    const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const config = await loadConfig(sites.a.configPath);
    const options = { incarnation: "i", clock, audit: () => {} };
    await assert.rejects(
      openEndpoint({ ...options, config: { ...config, link: `127.0.0.1:${tcp.addr.port}` } }),
      failsWith("address_in_use", `127.0.0.1:${tcp.addr.port}`, "TCP"),
    );
    tcp.close();
    const a = await open(sites.a);
    await assert.rejects(
      openEndpoint({ ...options, config: { ...config, link: a.address } }),
      failsWith("address_in_use", a.address, "UDP"),
    );
    await a.close();
  }));

Deno.test("the link address shows its certificate over TCP to trust --fingerprint", () =>
  withSites(async (sites) => {
    const b = await open(sites.b);
    const { fingerprint } = sites.b;
    const trusted = await trustPeer({
      config: sites.a.configPath,
      peer: "b",
      fingerprint,
      address: b.address,
    });
    assert.equal(trusted.fingerprint, fingerprint);
    await b.close();
  }));
