import assert from "node:assert/strict";
import { redirectSettings } from "../../src/guest/addresses.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { DnsMeans, type DnsSettings } from "../../src/redirect/dns_means.ts";
import { HostCommands } from "../../src/redirect/host_commands.ts";
import type { Target } from "../../src/redirect/means.ts";
import { NameServer } from "../../src/redirect/name_server.ts";
import { Redirects, type RedirectStore } from "../../src/redirect/redirects.ts";
import type { RedirectSide } from "../../src/redirect/state.ts";
import { type BindProcess, startBind } from "../../src/testing/bind_process.ts";
import { meansSuite } from "../../src/testing/means_suite.ts";
import { keptMemory } from "../../src/testing/memory_zone.ts";
import { requires } from "../../src/testing/requirements.ts";

const NEEDS = await requires("bind");
const NAME = "web.example.org";
const ZONE = ["web A 10.1.0.5", "web AAAA fd01::5"];
const addresses = [{ ip: "10.1.0.5", name: NAME }, { ip: "fd01::5", name: NAME }];
const DNS = { kind: "dns", nameServer: "main", movingTtlSeconds: 5 } satisfies DnsSettings;
const BASE = {
  migration: "m",
  guest: "web",
  peer: "b",
  site: "a",
  isHome: false,
  addresses,
  settings: redirectSettings.parse({ device: "br0", means: [DNS] }),
};
const serversOf = ({ address, keyFile }: Pick<BindProcess, "address" | "keyFile">) => ({
  main: { address, keyFile, zone: "example.org" },
});

meansSuite("dns, BIND", async () => {
  const bind = await startBind(ZONE);
  let memory = keptMemory();
  return {
    make: () => {
      const means = new DnsMeans(DNS, systemClock(), serversOf(bind));
      const apply = means.apply.bind(means);
      means.useMemory({ read: () => memory.read(), write: (value) => memory.write(value) });
      // A redirect that has ended leaves its memory to no other.
      means.apply = async (target) => {
        const said = await apply(target);
        if (["bound", "retired"].includes(target.stage)) memory = keptMemory();
        return said;
      };
      return means;
    },
    target: BASE,
    look: async () => (await bind.records(NAME)).join("\n"),
    [Symbol.asyncDispose]: () => bind[Symbol.asyncDispose](),
  };
}, NEEDS);

/** The redirects of one site, whose ledger outlives them. */
class Site {
  readonly #rows: ReturnType<RedirectStore["redirects"]>[number][] = [];
  readonly #store: RedirectStore = {
    createRedirect: (redirect, first) => {
      this.#rows.push({ ...redirect, events: [{ ...first, at: new Date().toISOString() }] });
    },
    appendRedirect: (migrationId, side, event) => {
      const index = this.#rows.findIndex((row) =>
        row.migrationId === migrationId && row.side === side
      );
      const row = this.#rows[index];
      const at = new Date().toISOString();
      this.#rows[index] = { ...row, events: [...row.events, { ...event, at }] };
    },
    redirects: () => structuredClone(this.#rows),
  };
  redirects: Redirects;

  constructor(
    private readonly bind: BindProcess,
    private readonly records: { name: string; ip: string }[],
  ) {
    this.redirects = this.#start();
  }

  async prepare(migration: string, side: RedirectSide): Promise<void> {
    const { guest, peer, settings } = BASE;
    await this.redirects.prepare({ migration, guest, side, peer, addresses, settings });
  }

  /** As after SIGKILL: the next process has the ledger only. */
  restart(): void {
    void this.redirects.close();
    this.redirects = this.#start();
    this.redirects.load();
    this.redirects.start();
  }

  async until(migration: string, state: string): Promise<void> {
    for (;;) {
      const views = await this.redirects.views();
      const view = views.find((each) => each.migration === migration);
      if (view?.state === state && view.settled) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  #start(): Redirects {
    const settings = { ...DNS, records: this.records };
    return new Redirects({
      site: "site",
      store: this.#store,
      clock: systemClock(),
      means: () => [new DnsMeans(settings, systemClock(), serversOf(this.bind))],
      log: () => {},
    });
  }
}

Deno.test({
  name:
    "BIND has the new site's addresses at the arrival and the old TTL afterwards, also after crashes",
  ...NEEDS,
  async fn() {
    await using bind = await startBind(ZONE);
    const old = new Site(bind, addresses);
    const fresh = new Site(bind, [{ name: NAME, ip: "10.2.0.5" }, { name: NAME, ip: "fd02::5" }]);
    const records = (ttl: number, ipv4: string, ipv6: string) => [
      `${NAME}. ${ttl} IN A ${ipv4}`,
      `${NAME}. ${ttl} IN AAAA ${ipv6}`,
    ];
    await old.prepare("m1", "old");
    await fresh.prepare("m1", "new");
    assert.deepEqual(await bind.records(NAME), records(5, "10.1.0.5", "fd01::5"));
    old.restart();
    await old.redirects.switchOver("m1");
    fresh.restart();
    fresh.redirects.follow("m1", "new", "arrived");
    await fresh.until("m1", "retired");
    assert.deepEqual(await bind.records(NAME), records(5, "10.2.0.5", "fd02::5"));
    old.redirects.follow("m1", "old", "arrived");
    await old.until("m1", "retired");
    assert.deepEqual(await bind.records(NAME), records(3600, "10.2.0.5", "fd02::5"));

    // The way home fails once, and is undone.
    await fresh.prepare("m2", "old");
    assert.deepEqual(await bind.records(NAME), records(5, "10.2.0.5", "fd02::5"));
    await fresh.redirects.switchOver("m2");
    fresh.restart();
    fresh.redirects.follow("m2", "old", "stays");
    await fresh.until("m2", "bound");
    assert.deepEqual(await bind.records(NAME), records(3600, "10.2.0.5", "fd02::5"));
    await old.redirects.close();
    await fresh.redirects.close();
  },
});

Deno.test({
  name: "BIND refuses an update where no more than a TTL has changed since the reading",
  ...NEEDS,
  async fn() {
    await using bind = await startBind(ZONE);
    const host = new HostCommands();
    const server = new NameServer(serversOf(bind).main, (...run) => host.attempt(...run));
    const read = async () => {
      const version = await server.version();
      return { version, set: await server.read(`${NAME}.`, "A") };
    };
    const before = await read();
    const update = (ttlSeconds: number, { version, set }: typeof before) =>
      server.update([set], [{ ...set, ttlSeconds }], version);
    assert.ok(await update(60, before));
    assert.equal(await update(5, before), false);
    const now = await read();
    assert.deepEqual(now.set, { ...before.set, ttlSeconds: 60 });
    assert.ok(await update(5, now));
  },
});

Deno.test({
  name:
    "a wrong key, a name that the key may not change, another zone, and a server that is away are told apart",
  ...NEEDS,
  async fn() {
    await using bind = await startBind([...ZONE, "other A 10.1.0.6"]);
    const { address, keyFile, wrongKeyFile } = bind;
    const target: Target = { ...BASE, side: "old", stage: "prepared", previous: null };
    const attempt = async (
      server: Partial<{ address: string; keyFile: string; zone: string }>,
      settings: Partial<DnsSettings> = {},
    ) => {
      const main = { address, keyFile, zone: "example.org", ...server };
      const means = new DnsMeans({ ...DNS, ...settings }, systemClock(), { main });
      await means.check(target);
      await means.apply(target);
    };
    const other = { records: [{ name: "other.example.org", ip: "10.1.0.6" }] };
    const elsewhere = { records: [{ name: "web.example.com", ip: "10.1.0.6" }] };
    await assert.rejects(attempt({ keyFile: wrongKeyFile }), { code: "dns_update_refused" });
    await assert.rejects(attempt({ keyFile: "/etc/passwd" }), {
      code: "dns_update_refused",
      message: "Cannot use the key /etc/passwd",
    });
    await assert.rejects(attempt({}, other), {
      code: "dns_update_refused",
      message: /other\.example\.org\.: .* says REFUSED/,
    });
    await assert.rejects(attempt({ zone: "example.com" }, elsewhere), {
      code: "dns_zone_mismatch",
      message: /does not serve example\.com/,
    });
    assert.deepEqual(await bind.records("other.example.org"), [
      "other.example.org. 3600 IN A 10.1.0.6",
    ]);
    await bind.stop();
    await assert.rejects(attempt({}), { code: "dns_server_unreachable", message: /not answer/ });
  },
});
