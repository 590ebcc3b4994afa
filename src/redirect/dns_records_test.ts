import assert from "node:assert/strict";
import { isInZone, parseDig, recordSets, updateLines } from "./dns_records.ts";

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
  const set = { name: "web.example.org.", type: "A" as const };
  assert.deepEqual(parseDig(text, set.name, set.type), {
    status: "NOERROR",
    isAuthoritative: true,
    set: { ...set, ttlSeconds: 3600, ips: ["10.1.0.5", "10.1.0.6"] },
  });
  assert.deepEqual(parseDig(";; no servers could be reached\n", set.name, set.type), {
    status: null,
    isAuthoritative: false,
    set: { ...set, ttlSeconds: null, ips: [] },
  });
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
  assert.deepEqual(updateLines(server, [set, absent], wanted).split("\n"), [
    "server 192.0.2.53 53",
    "zone example.org.",
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
