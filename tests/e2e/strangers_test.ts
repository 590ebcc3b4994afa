import assert from "node:assert/strict";
import { connect } from "node:tls";
import { type InitResult, initSite } from "../../src/config/init.ts";
import { trustPeer } from "../../src/config/trust.ts";
import { parseHostPort } from "../../src/config/address.ts";
import { composeGateway } from "../../src/gateway/compose.ts";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { guestDefinition } from "../../src/guest/definition.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import { machineDefinition } from "./support/reference_sites.ts";
import { eventually } from "./support/killable_sites.ts";

const LOOPBACK = "127.0.0.1:0";
/** Longest datagram that IPv4 carries. */
const DATAGRAM_BYTES_MAX = 65_507;

/** Sites with real endpoints in one process; each is started when it is first asked for. */
class Sites implements AsyncDisposable {
  readonly log: string[] = [];
  readonly #made = new Map<string, InitResult>();
  readonly #running = new Map<string, Gateway>();

  private constructor(private readonly directory: string) {}

  static async make(...names: string[]): Promise<Sites> {
    const sites = new Sites(await Deno.makeTempDir({ prefix: "cw-x-" }));
    for (const site of names) {
      const dir = `${sites.directory}/${site}`;
      sites.#made.set(site, await initSite({ site, dir, link: LOOPBACK, http: LOOPBACK }));
    }
    return sites;
  }

  /** `at` trusts the certificate of `whose` under the name `peer`. */
  async trust(at: string, peer: string, whose: string, address?: string): Promise<void> {
    const certificate = this.#made.get(whose)!.certificatePath;
    const config = this.#made.get(at)!.configPath;
    await trustPeer({ config, peer, certificate, ...(address ? { address } : {}) });
  }

  configPath(site: string): string {
    return this.#made.get(site)!.configPath;
  }

  async start(name: string): Promise<Gateway> {
    const note = (level: string, message: string) => this.log.push(`${name} ${level} ${message}`);
    const { configPath } = this.#made.get(name)!;
    const gateway = await composeGateway(configPath, systemClock(), note);
    this.#running.set(name, gateway);
    return gateway;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const gateway of this.#running.values()) {
      for (const { id } of await gateway.service.guests()) {
        await gateway.service.deleteGuest(id, true).catch(() => {});
      }
      await gateway.close();
    }
    await Deno.remove(this.directory, { recursive: true }).catch(() => {});
  }
}

Deno.test("a site that the other one does not trust is refused with the reason, told and audited at both", async () => {
  await using sites = await Sites.make("a", "b");
  const b = await sites.start("b");
  await sites.trust("a", "b", "b", b.linkAddress);
  const a = await sites.start("a");
  const refusal = () => a.service.peers()[0].lastError;
  await eventually("a refusal", () => refusal() !== null);
  assert.equal(refusal()!.code, "peer_not_trusted");
  assert.match(refusal()!.message, /does not trust|unknown|not trusted/);
  assert.notEqual(refusal()!.hint, "");
  assert.equal(a.service.peers()[0].state, "down");
  await eventually("both audit entries", () => refusals(a).length > 0 && refusals(b).length > 0);
  assert.match(JSON.stringify(refusals(b)[0]), /peer_not_trusted/);
});

Deno.test("a running gateway takes a new peer over by itself, and dials it", async () => {
  await using sites = await Sites.make("a", "b");
  const [a, b] = [await sites.start("a"), await sites.start("b")];
  await sites.trust("b", "a", "a");
  await sites.trust("a", "b", "b", b.linkAddress);
  await eventually("the link at a", () => a.service.health().checks["peer b"] === "up", 10_000);
  await eventually("the link at b", () => b.service.peers()[0]?.state === "up", 10_000);
});

/** At once, as `trust` does it: nobody reads a half of what is written. */
async function replace(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, text);
  await Deno.rename(`${path}.new`, path);
}

Deno.test("a configuration that is broken for a moment keeps the peers", async () => {
  await using sites = await Sites.make("a", "b", "c");
  await sites.trust("a", "b", "b", "127.0.0.1:9");
  const a = await sites.start("a");
  const whole = await Deno.readTextFile(sites.configPath("a"));
  await replace(sites.configPath("a"), whole.slice(0, 40));
  await eventually("a warning", () => sites.log.some((line) => line.includes("not JSON")));
  assert.deepEqual(a.service.peers().map(({ name }) => name), ["b"]);
  await replace(sites.configPath("a"), whole);
  await sites.trust("a", "c", "c");
  await eventually("both", () => a.service.peers().length === 2);
  await replace(sites.configPath("a"), whole);
  await eventually("the one that is left", () => a.service.peers().length === 1);
  // Whoever dials in the meantime reads the file, too, and says so.
  const told = sites.log.filter((line) => line.endsWith("the peers stay as they were"));
  assert.equal(told.length, 1);
});

Deno.test("a move asked for right after the other site gave its trust is not refused any more", async () => {
  await using sites = await Sites.make("a", "b");
  const b = await sites.start("b");
  await sites.trust("a", "b", "b", b.linkAddress);
  const a = await sites.start("a");
  await a.service.putGuest("g", machineDefinition("source"));
  await b.service.putGuest("g", machineDefinition("incoming"));
  await eventually("a refusal", () => a.service.peers()[0].lastError !== null);
  await sites.trust("b", "a", "a");
  const { id } = await a.service.startMigration({
    guest: "g",
    to: "b",
    options: migrationOptions.parse({ maxDowntimeMs: 2000 }),
  });
  await eventually("the end", () => a.service.migration(id).state === "completed");
});

Deno.test("another identity at the peer's address is refused, told and audited", async () => {
  await using sites = await Sites.make("a", "b", "c");
  await sites.trust("c", "a", "a");
  const c = await sites.start("c");
  await sites.trust("a", "b", "b", c.linkAddress);
  const a = await sites.start("a");
  await eventually("a refusal", () => a.service.peers()[0].lastError !== null);
  assert.equal(a.service.peers()[0].lastError!.code, "peer_not_trusted");
  assert.equal(c.service.peers()[0].state, "down");
  await eventually("an audit entry", () => refusals(a).length > 0);
});

Deno.test("garbage and oversized input at the link port, by UDP and TCP, harms neither port nor moves", async () => {
  await using sites = await Sites.make("a", "b");
  const b = await sites.start("b");
  await sites.trust("a", "b", "b", b.linkAddress);
  await sites.trust("b", "a", "a");
  const { hostname, port } = parseHostPort(b.linkAddress)!;
  await throwGarbage(hostname, port);

  const a = await sites.start("a");
  await eventually("the link", () => a.service.peers()[0].state === "up");
  await a.service.putGuest("g", machineDefinition("source"));
  await b.service.putGuest("g", machineDefinition("incoming"));
  const { id } = await a.service.startMigration({
    guest: "g",
    to: "b",
    options: migrationOptions.parse({ maxDowntimeMs: 2000 }),
  });
  await throwGarbage(hostname, port);
  await eventually(
    "the end",
    () => ["completed", "failed"].includes(a.service.migration(id).state),
  );
  assert.equal(a.service.migration(id).state, "completed", sites.log.join("\n"));
  const check = await b.service.verifyGuest("g") as { ok: boolean };
  assert.equal(check.ok, true);
});

for (
  const { name, greeting } of [
    { name: "speaks another protocol", greeting: "HTTP/1.1 400 Bad Request\r\n\r\n" },
    { name: "sends a line without end", greeting: `{"QMP": "${"x".repeat(20 * 1024 * 1024)}` },
    { name: "closes at once", greeting: "" },
  ]
) {
  Deno.test(`a QMP socket that ${name} is told by name and registers nothing`, async () => {
    await using sites = await Sites.make("a");
    const a = await sites.start("a");
    const path = await Deno.makeTempFile({ prefix: "cw-qmp-" });
    await Deno.remove(path);
    const listener = Deno.listen({ transport: "unix", path });
    const serving = serveGreeting(listener, greeting);
    try {
      const definition = guestDefinition.parse({ kind: "qemu", qmp: path });
      await assert.rejects(
        () => a.service.putGuest("vm", definition),
        (error: { code: string }) => {
          assert.ok(["qmp_protocol", "guest_unreachable"].includes(error.code), error.code);
          return true;
        },
      );
      await assert.rejects(() => a.service.guest("vm"), { code: "guest_unknown" });
    } finally {
      listener.close();
      await serving;
      await Deno.remove(path).catch(() => {});
    }
  });
}

function refusals(gateway: Gateway) {
  return gateway.service.audit({ limit: 50 }).filter(({ kind }) => kind === "link_refused");
}

/** Datagrams and connections that no gateway sends, of every size class. */
async function throwGarbage(hostname: string, port: number): Promise<void> {
  const random = (bytes: number) => {
    const garbage = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += 65_536) {
      crypto.getRandomValues(garbage.subarray(at, at + 65_536));
    }
    return garbage;
  };
  const udp = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  for (const bytes of [1, 20, 1200, 1500, DATAGRAM_BYTES_MAX]) {
    for (const firstByte of [0x00, 0x40, 0xc0, 0xff]) {
      const datagram = random(bytes);
      // The form bits of a QUIC header: with them set the rest is read as one.
      datagram[0] = firstByte;
      await udp.send(datagram, { transport: "udp", hostname, port });
    }
  }
  udp.close();
  for (const bytes of [1, 100, 4 * 1024 * 1024]) {
    using conn = await Deno.connect({ hostname, port });
    await conn.write(random(bytes)).catch(() => {});
  }
  await new Promise<void>((resolve) => {
    const client = connect({ host: hostname, port, rejectUnauthorized: false }, () => {
      client.end(random(1024 * 1024));
    });
    client.on("error", () => resolve());
    client.on("close", () => resolve());
    client.resume();
  });
}

async function serveGreeting(listener: Deno.UnixListener, greeting: string): Promise<void> {
  for await (const conn of listener) {
    const bytes = new TextEncoder().encode(greeting);
    try {
      for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
    } catch {
      // The gateway had enough.
    }
    try {
      conn.close();
    } catch {
      // Closed with the listener.
    }
  }
}
