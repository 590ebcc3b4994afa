import assert from "node:assert/strict";
import { redirectSettings } from "../guest/addresses.ts";
import { keptMemory, MemoryZone, refusal } from "../testing/memory_zone.ts";
import { meansSuite } from "../testing/means_suite.ts";
import { DnsMeans, type DnsSettings } from "./dns_means.ts";
import type { MeansMemory, Target } from "./means.ts";
import type { RedirectSide, Stage } from "./state.ts";

const SERVERS = {
  main: { address: "192.0.2.53:53", zone: "example.org", keyFile: "/etc/causeway/ddns.key" },
};
const HERE = ["web.example.org. 3600 A 10.1.0.5", "web.example.org. 3600 AAAA fd01::5"];
const addresses = [
  { ip: "10.1.0.5", name: "web.example.org" },
  { ip: "fd01::5", name: "WEB.example.org." },
];
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
const at = (side: RedirectSide, stage: Stage): Target => ({ ...BASE, side, stage, previous: null });

/** A means of a site, with its memory and a clock that is set. */
function site(zone: MemoryZone, settings: Partial<DnsSettings> = {}, memory = keptMemory()) {
  const clock = { ms: Date.parse("2030-01-01T00:00:00Z"), wallMs: () => clock.ms };
  const make = (kept: MeansMemory) => {
    const means = new DnsMeans({ ...DNS, ...settings }, clock, SERVERS, zone);
    means.useMemory(kept);
    return means;
  };
  return { clock, means: make(memory), restarted: () => make(memory) };
}

meansSuite("dns, scripted", () => {
  const zone = new MemoryZone(HERE);
  let memory = keptMemory();
  return Promise.resolve({
    // A redirect that has ended leaves its memory to no other.
    make: () => {
      const means = new DnsMeans(DNS, { wallMs: () => 0 }, SERVERS, zone);
      const ended = (stage: Stage) => stage === "bound" || stage === "retired";
      const apply = means.apply.bind(means);
      means.useMemory({ read: () => memory.read(), write: (value) => memory.write(value) });
      means.apply = async (target) => {
        const said = await apply(target);
        if (ended(target.stage)) memory = keptMemory();
        return said;
      };
      return means;
    },
    target: BASE,
    look: () => Promise.resolve(zone.text),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});

Deno.test("a move to other addresses: lowered, led there at the arrival, and the old TTL at the end", async () => {
  const zone = new MemoryZone(HERE);
  const there = [
    { name: "web.example.org", ip: "10.2.0.5" },
    { name: "web.example.org", ip: "fd02::5" },
  ];
  const [old, fresh] = [site(zone).means, site(zone, { records: there }).means];
  const seen = async (side: "old" | "new", stage: Stage) => {
    await (side === "old" ? old : fresh).apply(at(side, stage));
    return zone.text.replaceAll("web.example.org. ", "").replaceAll("\n", ", ");
  };
  const lowered = "A 5 10.1.0.5, AAAA 5 fd01::5";
  const moved = "A 5 10.2.0.5, AAAA 5 fd02::5";
  assert.equal(await seen("old", "prepared"), lowered);
  assert.equal(await seen("new", "prepared"), lowered);
  assert.equal(await seen("old", "redirecting"), lowered);
  assert.equal(await seen("new", "redirecting"), lowered);
  assert.equal(await seen("new", "draining"), moved);
  assert.equal(await seen("old", "draining"), moved);
  assert.equal(await seen("new", "retired"), moved);
  assert.equal(await seen("old", "retired"), "A 3600 10.2.0.5, AAAA 3600 fd02::5");
});

Deno.test("an arrival that is written after the other site's drain keeps the TTL that is restored", async () => {
  const zone = new MemoryZone(["web.example.org. 3600 A 10.2.0.5"]);
  const home = [{ name: "web.example.org", ip: "10.1.0.5" }];
  const there = [{ name: "web.example.org", ip: "10.2.0.5" }];
  const [old, fresh] = [site(zone, { records: there }).means, site(zone, { records: home }).means];
  await old.apply(at("old", "prepared"));
  await fresh.apply(at("new", "prepared"));
  assert.equal(zone.text, "web.example.org. A 5 10.2.0.5");
  await old.apply(at("old", "draining"));
  // The new site's name server was away until now.
  await old.apply(at("old", "retired"));
  await fresh.apply(at("new", "draining"));
  await fresh.apply(at("new", "retired"));
  assert.equal(zone.text, "web.example.org. A 3600 10.1.0.5");
});

/** A machine that comes home from 10.2.0.5, whose TTL the site that it leaves has lowered. */
async function comingHome() {
  const zone = new MemoryZone(["web.example.org. 3600 A 10.2.0.5"]);
  const records = (ip: string) => ({ records: [{ name: "web.example.org", ip }] });
  const old = site(zone, records("10.2.0.5")).means;
  const fresh = site(zone, records("10.1.0.5")).means;
  await old.apply(at("old", "prepared"));
  return { zone, old, fresh };
}

/** Has somebody else come between the next reading and its update. */
function interrupted(zone: MemoryZone, by: () => Promise<unknown>): void {
  zone.beforeUpdate = async () => {
    zone.beforeUpdate = () => {};
    await by();
  };
}

Deno.test("a TTL that is restored while the other site writes its arrival stays restored", async () => {
  for (const later of ["old", "new"] as const) {
    const { zone, old, fresh } = await comingHome();
    await fresh.apply(at("new", "prepared"));
    const restore = () => old.apply(at("old", "retired"));
    const lead = () => fresh.apply(at("new", "draining"));
    interrupted(zone, later === "old" ? lead : restore);
    await (later === "old" ? restore() : lead());
    await fresh.apply(at("new", "retired"));
    assert.equal(zone.text, "web.example.org. A 3600 10.1.0.5", `${later} writes last`);
  }
});

Deno.test("a site that found the TTL lowered does not lower it once more when that has been undone", async () => {
  const { zone, old, fresh } = await comingHome();
  // A cancel while the other site still prepares.
  interrupted(zone, () => old.apply(at("old", "bound")));
  await fresh.apply(at("new", "prepared"));
  await fresh.apply(at("new", "bound"));
  assert.equal(zone.text, "web.example.org. A 3600 10.2.0.5");
});

Deno.test("a zone in which others change names all the time holds up no move", async () => {
  const { zone, fresh } = await comingHome();
  let others = 0;
  zone.beforeUpdate = () =>
    zone.set("other.example.org. A", { ttlSeconds: 60, ips: [`10.9.0.${++others}`] });
  await fresh.apply(at("new", "draining"));
  assert.match(zone.text, /^web\.example\.org\. A 5 10\.1\.0\.5$/m);
});

Deno.test("inside the pause nothing is asked of the name server", async () => {
  const zone = new MemoryZone(HERE);
  const { means } = site(zone);
  await means.apply(at("old", "prepared"));
  const before = zone.calls.length;
  await means.apply(at("old", "redirecting"));
  assert.equal(zone.calls.length, before);
});

Deno.test("an old TTL that has not run out by the switch is told, and one that has is not", async () => {
  const { clock, means } = site(new MemoryZone(HERE));
  assert.match(
    await means.apply(at("old", "prepared")) ?? "",
    /TTL of 3600 s .* until 2030-01-01T01:00:00/,
  );
  clock.ms += 3_599_000;
  assert.match(await means.apply(at("old", "redirecting")) ?? "", /until 2030-01-01T01:00:00/);
  clock.ms += 1_000;
  assert.equal(await means.apply(at("old", "redirecting")), undefined);
});

Deno.test("after a crash the arrival is not written a second time: the machine may have moved on", async () => {
  const zone = new MemoryZone(HERE);
  const { means, restarted } = site(zone, {
    records: [{ name: "web.example.org", ip: "10.2.0.5" }],
  });
  for (const stage of ["prepared", "redirecting", "draining"] as const) {
    await means.apply(at("new", stage));
  }
  zone.set("web.example.org. A", { ttlSeconds: 5, ips: ["10.3.0.5"] });
  const successor = restarted();
  await successor.apply(at("new", "draining"));
  await successor.apply(at("new", "retired"));
  assert.match(zone.text, /^web\.example\.org\. A 3600 10\.3\.0\.5$/m);
});

Deno.test("records that were not there are made at the arrival, and get a TTL at the end", async () => {
  const zone = new MemoryZone([]);
  const { means } = site(zone);
  await means.apply(at("new", "prepared"));
  assert.equal(zone.text, "");
  await means.apply(at("new", "draining"));
  assert.match(zone.text, /A 5 10\.1\.0\.5/);
  await means.apply(at("new", "retired"));
  assert.match(zone.text, /A 300 10\.1\.0\.5\n.*AAAA 300 fd01::5/);
});

Deno.test("what somebody else changes between reading and writing is read again, not overwritten", async () => {
  const zone = new MemoryZone(HERE);
  const { means } = site(zone);
  zone.beforeUpdate = () => {
    zone.set("web.example.org. A", { ttlSeconds: 3600, ips: ["10.9.0.9"] });
    zone.beforeUpdate = () => {};
  };
  await means.apply(at("old", "prepared"));
  assert.match(zone.text, /A 5 10\.9\.0\.9/);
});

Deno.test("what goes wrong has a code and what to do, and never a line of the key's file", async () => {
  const ended = (stderr: string, stdout = "") => ({ success: false, stdout, stderr });
  const secret = "secret abcd==";
  const status = (code: string, flags = "qr aa") =>
    `;; ->>HEADER<<- opcode: QUERY, status: ${code}, id: 1\n;; flags: ${flags}; QUERY: 1\n`;
  const cases: [string, ReturnType<typeof ended>, string, RegExp][] = [
    ["dig", ended("", ";; no servers could be reached"), "dns_server_unreachable", /runs/],
    ["dig", ended("", status("NOTAUTH", "qr")), "dns_update_refused", /same key/],
    ["dig", ended("", status("REFUSED", "qr")), "dns_zone_mismatch", /primary/],
    ["dig", ended("", status("NOERROR", "qr ra")), "dns_zone_mismatch", /primary/],
    ["dig", ended("", status("SERVFAIL", "qr")), "dns_server_unreachable", /log/],
    ["dig", ended(`Couldn't read key from /k: ${secret}`), "dns_update_refused", /tsig-keygen/],
    ["nsupdate", refusal("NOTAUTH(BADKEY)"), "dns_update_refused", /same key/],
    ["nsupdate", refusal("NOTAUTH(BADSIG)"), "dns_update_refused", /same key/],
    ["nsupdate", refusal("NOTAUTH(BADTIME)"), "dns_update_refused", /clocks/],
    ["nsupdate", refusal("REFUSED"), "dns_update_refused", /update-policy/],
    ["nsupdate", refusal("NOTZONE"), "dns_zone_mismatch", /zone/],
    ["nsupdate", refusal("NOTAUTH"), "dns_zone_mismatch", /zone/],
    ["nsupdate", refusal("SERVFAIL"), "dns_server_unreachable", /log/],
    ["nsupdate", ended(`k:1: unknown option '${secret}'`), "dns_server_unreachable", /TCP/],
    [
      "nsupdate",
      ended(`k:1: unknown option '${secret}'\ncould not read key from k: unexpected token`),
      "dns_update_refused",
      /tsig-keygen/,
    ],
  ];
  for (const [program, end, code, hint] of cases) {
    const zone = new MemoryZone(HERE);
    zone.failing.set(program, end);
    await assert.rejects(
      site(zone).means.apply(at("old", "prepared")),
      (error: Error & { code: string; hint: string }) => {
        assert.equal(error.code, code, end.stderr + end.stdout);
        assert.match(error.hint, hint);
        assert.doesNotMatch(`${error.message} ${error.hint}`, /abcd/);
        return true;
      },
    );
  }
});

Deno.test("a name outside the zone, an unknown name server and a machine without names are refused first", async () => {
  const zone = new MemoryZone(HERE);
  const target = at("old", "bound");
  const outside = { records: [{ name: "web.example.com", ip: "10.1.0.5" }] };
  await assert.rejects(site(zone, outside).means.check(target), { code: "dns_zone_mismatch" });
  await assert.rejects(site(zone, { nameServer: "other" }).means.check(target), {
    message: /no name server other/,
  });
  const nameless = { ...target, addresses: [{ ip: "10.1.0.5" }] };
  await assert.rejects(site(zone).means.check(nameless), { message: /no address has a name/ });
  assert.equal(zone.calls.length, 0);
  await site(zone).means.check(target);
});

Deno.test("a dry run prints the update of each stage, and no more of the key than its path", () => {
  const { means } = site(new MemoryZone(HERE));
  const told = (side: "old" | "new", stage: Stage) => means.commands(at(side, stage)).join();
  assert.match(told("old", "prepared"), /^nsupdate -v -t 5 -k \/etc\/causeway\/ddns\.key << /);
  assert.match(told("old", "prepared"), /update add web\.example\.org\. 5 A ADDRESSES-FOUND/);
  assert.match(told("old", "redirecting"), /^# unless it was done before: nsupdate/);
  assert.match(told("new", "draining"), /update add web\.example\.org\. 5 AAAA fd01::5/);
  assert.match(told("new", "retired"), /TTL-FOUND-BEFORE A/);
});
