import assert from "node:assert/strict";
import { isInZone, parseDig, recordSets, setIn, updateLines, versionIn } from "./dns_records.ts";

Deno.test("names are one form each, and belong to a zone by whole labels", () => {
  assert.deepEqual(
    recordSets([
      { name: "Web.example.org", ip: "10.1.0.6" },
      { name: "web.example.org.", ip: "10.1.0.5" },
      { name: "web.example.org.", ip: "FD01:0::5" },
    ]),
    [
      { name: "web.example.org.", type: "A", ips: ["10.1.0.5", "10.1.0.6"] },
      { name: "web.example.org.", type: "AAAA", ips: ["fd01::5"] },
    ],
  );
  const cases = [
    ["web.example.org", "example.org.", true],
    ["EXAMPLE.org.", "example.org", true],
    ["web.example.org", ".", true],
    ["webexample.org", "example.org", false],
    ["example.org", "web.example.org", false],
  ] as const;
  for (const [name, zone, expected] of cases) assert.equal(isInZone(name, zone), expected, name);
});

Deno.test("an answer is read whatever stands around it, and aliases are not addresses", () => {
  const text = [
    ";; Got answer:",
    ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 20492",
    ";; flags: qr aa; QUERY: 1, ANSWER: 1, AUTHORITY: 1, ADDITIONAL: 3",
    ";; ANSWER SECTION:",
    "alias.example.org.\t60\tIN\tCNAME\tweb.example.org.",
    "WEB.example.org.\t3600\tIN\tA\t10.1.0.6",
    "web.example.org.\t3600\tIN\tA\t10.1.0.5",
    "web.example.org.\t3600\tIN\tRRSIG\tA 13 3 3600 20300101000000",
  ].join("\n");
  const [name, type] = ["web.example.org.", "A"] as const;
  const answer = parseDig(text);
  assert.equal(answer.status, "NOERROR");
  assert.ok(answer.isAuthoritative);
  const ips = ["10.1.0.5", "10.1.0.6"];
  assert.deepEqual(setIn(answer, name, type), { name, type, ttlSeconds: 3600, ips });
  const none = parseDig(";; no servers could be reached\n");
  assert.deepEqual(none, { status: null, isAuthoritative: false, records: [] });
  assert.deepEqual(setIn(none, name, type), { name, type, ttlSeconds: null, ips: [] });
});

Deno.test("a zone's version is its own SOA with the serial, not the one of a zone above", () => {
  const soa = (owner: string) =>
    parseDig(`${owner}\t60\tIN\tSOA\tns.${owner} root.${owner} 17 3600  600 86400 60\n`);
  assert.equal(
    versionIn(soa("Example.org."), "example.org"),
    "ns.Example.org. root.Example.org. 17 3600 600 86400 60",
  );
  assert.equal(versionIn(soa("org."), "example.org"), null);
});

Deno.test("an update replaces sets in one message, on the condition that they are what was read", () => {
  const set = { name: "web.example.org.", type: "A" as const, ttlSeconds: 3600, ips: ["10.1.0.5"] };
  const absent = { ...set, type: "AAAA" as const, ttlSeconds: null, ips: [] };
  const server = { host: "192.0.2.53", port: 53, zone: "example.org" };
  const wanted = [{ ...set, ttlSeconds: 5, ips: ["10.2.0.5"] }, {
    ...absent,
    ttlSeconds: 5,
    ips: ["fd02::5"],
  }];
  const soa = "ns.example.org. root.example.org. 17 3600 600 86400 60";
  assert.deepEqual(updateLines(server, [set, absent], wanted, soa).split("\n"), [
    "server 192.0.2.53 53",
    "zone example.org.",
    `prereq yxrrset example.org. SOA ${soa}`,
    "prereq yxrrset web.example.org. A 10.1.0.5",
    "prereq nxrrset web.example.org. AAAA",
    "update delete web.example.org. A",
    "update add web.example.org. 5 A 10.2.0.5",
    "update delete web.example.org. AAAA",
    "update add web.example.org. 5 AAAA fd02::5",
    "send",
    "",
  ]);
});
