/** Sites on loopback for the tests of the carrier. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { loadConfig } from "../config/config.ts";
import { initSite } from "../config/init.ts";
import { trustPeer } from "../config/trust.ts";
import { GatewayError } from "../core/errors.ts";
import { systemClock } from "../host/system_clock.ts";
import type { Carrier, CarrierEndpoint, CarrierKind } from "../link/carrier.ts";
import { type EndpointOptions, openEndpoint } from "../link/endpoint.ts";

export const clock = systemClock();

export interface Site {
  configPath: string;
  certificatePath: string;
  fingerprint: string;
}

export interface Audited {
  kind: string;
  body: Record<string, unknown>;
}

export async function withSites(body: (sites: Record<"a" | "b" | "c", Site>) => Promise<void>) {
  const dir = await Deno.makeTempDir();
  try {
    const make = (site: string) => initSite({ site, dir: join(dir, site), link: "127.0.0.1:0" });
    await body({ a: await make("a"), b: await make("b"), c: await make("c") });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

export async function open(
  site: Site,
  audited: Audited[] = [],
  options: Partial<EndpointOptions> = {},
) {
  return await openEndpoint({
    config: await loadConfig(site.configPath),
    incarnation: crypto.randomUUID(),
    clock,
    audit: (kind, body) => audited.push({ kind, body }),
    ...options,
  });
}

export async function trust(at: Site, peer: string, site: Site, address?: string) {
  await trustPeer({ config: at.configPath, peer, certificate: site.certificatePath, address });
}

/** Two gateways that trust each other; `dial` goes from a to b. */
export async function withPair(
  body: (pair: {
    a: CarrierEndpoint;
    b: CarrierEndpoint;
    dial: () => Promise<[Carrier, Carrier]>;
    sites: Record<"a" | "b" | "c", Site>;
  }) => Promise<void>,
  kind: CarrierKind = "quic",
) {
  await withSites(async (sites) => {
    const a = await open(sites.a);
    const b = await open(sites.b);
    await trust(sites.a, "b", sites.b, b.address);
    await trust(sites.b, "a", sites.a, a.address);
    const accepted: ((carrier: Carrier) => void)[] = [];
    b.onAccept((carrier) => accepted.shift()?.(carrier));
    const dial = async (): Promise<[Carrier, Carrier]> => {
      const { promise, resolve } = Promise.withResolvers<Carrier>();
      accepted.push(resolve);
      return await Promise.all([a.dial("b", never(), kind), promise]);
    };
    try {
      await body({ a, b, dial, sites });
    } finally {
      await Promise.all([a.close(), b.close()]);
    }
  });
}

/** Looks again every few milliseconds. */
export async function until(condition: () => boolean) {
  while (!condition()) await clock.sleep(5);
}

export const never = () => new AbortController().signal;

export function failsWith(code: string, ...parts: string[]) {
  return (error: unknown) => {
    assert.ok(error instanceof GatewayError, String(error));
    assert.equal(error.code, code, error.message);
    for (const part of parts) assert.ok(error.message.includes(part), error.message);
    return true;
  };
}
