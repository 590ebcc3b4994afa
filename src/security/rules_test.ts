import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import {
  acceptanceOf,
  type AcceptRules,
  type PeerAcceptance,
  requireGuestAccepted,
  requireQuota,
} from "./accept_rules.ts";
import {
  ALLOW_ALL,
  type AllowRules,
  type NamedByDefinition,
  requireAllowed,
} from "./allow_rules.ts";
import { globMatches } from "./globs.ts";
import { matchTemplate, templateProblem } from "./launch_template.ts";

function withCode(code: string, ...parts: string[]) {
  return (error: unknown) =>
    error instanceof GatewayError && error.code === code && error.hint !== "" &&
    parts.every((part) => `${error.message} ${error.hint}`.includes(part));
}

Deno.test("globMatches() takes a star for anything within one part of a path", () => {
  const cases: [string, string, boolean][] = [
    ["*", "", true],
    ["*", "web-1", true],
    ["*", "a/b", false],
    ["web-*", "web-", true],
    ["web-*", "db-1", false],
    ["*-db", "web-db", true],
    ["w?b", "web", true],
    ["w?b", "wb", false],
    ["w?b", "w/b", false],
    ["a*b*c", "a-b-b-c", true],
    ["a*b*c", "a-b-b-d", false],
    ["/run/vm/*.qmp", "/run/vm/web.qmp", true],
    ["/run/vm/*.qmp", "/run/vm/../x.qmp", false],
    ["/run/*/q", "/run/a/b/q", false],
    ["tcp:192.0.2.*:4444", "tcp:192.0.2.9:4444", true],
    ["[a]", "a", false],
    ["a.c", "abc", false],
  ];
  for (const [pattern, text, expected] of cases) {
    assert.equal(globMatches(pattern, text), expected, `${pattern} ${text}`);
  }
  // What makes a backtracking matcher take hours.
  assert.equal(globMatches("*a".repeat(64) + "b", "a".repeat(4_000)), false);
});

Deno.test("globMatches() agrees with a regular expression", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "/"), maxLength: 12 });
  const pattern = fc.string({ unit: fc.constantFrom("a", "b", "/", "*", "?"), maxLength: 8 });
  fc.assert(fc.property(pattern, text, (pattern, text) => {
    const regexp = pattern.replaceAll("*", "[^/]*").replaceAll("?", "[^/]");
    assert.equal(globMatches(pattern, text), new RegExp(`^${regexp}$`).test(text));
  }));
});

Deno.test("a template takes the commands that it stands for and gives the paths that they name", () => {
  const template = ["qemu", "-m", "{number}", "-name", "{name}", "-drive", "file={path},if=none"];
  const argv = ["qemu", "-m", "512", "-name", "web.1", "-drive", "file=/vm/web.raw,if=none"];
  assert.deepEqual(matchTemplate(template, argv), ["/vm/web.raw"]);
  const others: [number, string][] = [
    [0, "qemu2"],
    [2, "512M"],
    [4, "a b"],
    [4, ""],
    [6, "file=vm/web.raw,if=none"],
    [6, "file=/vm/web.raw,if=none,readonly=on"],
    [6, "file=/vm/a,format=raw,if=none"],
    [6, "file=/vm/web.raw,if=none\n"],
  ];
  for (const [at, other] of others) {
    assert.equal(matchTemplate(template, argv.with(at, other)), null, other);
  }
  assert.equal(matchTemplate(template, argv.slice(0, -1)), null);
  assert.equal(matchTemplate(template, [...argv, "-nodefaults"]), null);
  assert.deepEqual(matchTemplate(["qemu", "{...}"], ["qemu"]), []);
  assert.deepEqual(matchTemplate(["qemu", "{...}"], ["qemu", "-anything", "at all"]), []);
  assert.equal(matchTemplate(["qemu", "{...}"], ["sh", "-c", "qemu"]), null);
  assert.deepEqual(matchTemplate(["a+b", "(c)"], ["a+b", "(c)"]), [], "nothing else is special");
});

Deno.test("a template that cannot be meant is told", () => {
  const cases: [string[], RegExp][] = [
    [["{name}"], /the program has to be named/],
    [["qemu", "{...}", "-m"], /at the end/],
    [["qemu", "{disk}"], /\{disk\} stands for nothing/],
    [["qemu", "{path"], /\{path stands for nothing/],
  ];
  for (const [template, problem] of cases) assert.match(templateProblem(template) ?? "", problem);
  assert.equal(templateProblem(["qemu", "-m", "{number}", "{...}"]), null);
});

/** Links of a made-up file system. */
const LINKS: Record<string, string> = {
  "/vm/out": "/etc",
  "/run/vm": "/var/run/vm",
  "/run/vm/evil.qmp": "/var/run/docker.sock",
};
const realPath = (path: string) => {
  if (path in LINKS) return Promise.resolve(LINKS[path]);
  for (const [link, target] of Object.entries(LINKS)) {
    if (path.startsWith(`${link}/`)) return Promise.resolve(target + path.slice(link.length));
  }
  return Promise.resolve(path);
};

function launch(path: string, ...more: string[]): NamedByDefinition {
  return { kind: "qemu", launch: { argv: ["qemu", ...more], disks: [{ path }] } };
}

Deno.test("only what the configuration lists may be named, judged also by where it leads", async () => {
  const rules: AllowRules = {
    paths: ["/vm", "/images/"],
    sockets: ["/run/vm/*.qmp", "tcp:192.0.2.*:4444"],
    launch: [["qemu", "-m", "{number}"], ["qemu", "-drive", "file={path}"]],
  };
  const good: NamedByDefinition[] = [
    launch("/vm/web.raw", "-m", "512"),
    launch("/images/a/b.qcow2", "-m", "512"),
    launch("/vm/web.raw", "-drive", "file=/vm/web.raw"),
    { kind: "qemu", qmp: "/run/vm/web.qmp" },
    { kind: "qemu", qmp: "tcp:192.0.2.7:4444" },
  ];
  for (const definition of good) await requireAllowed(definition, rules, realPath);
  const bad: [NamedByDefinition, string][] = [
    [launch("/etc/passwd", "-m", "512"), "allow.paths"],
    [launch("/vm/../etc/passwd", "-m", "512"), "allow.paths"],
    [launch("/vm/./web.raw", "-m", "512"), "allow.paths"],
    [launch("/vmother/web.raw", "-m", "512"), "allow.paths"],
    [launch("/vm", "-m", "512"), "allow.paths"],
    [launch("vm/web.raw", "-m", "512"), "allow.paths"],
    [launch("/vm/out/passwd", "-m", "512"), "allow.paths"],
    [launch("/vm/web.raw", "-drive", "file=/etc/passwd"), "allow.paths"],
    [launch("/vm/web.raw", "-drive", "file=/vm/out/passwd"), "allow.paths"],
    [launch("/vm/web.raw", "-monitor", "stdio"), "allow.launch"],
    [{ kind: "qemu", qmp: "/run/docker.sock" }, "allow.sockets"],
    [{ kind: "qemu", qmp: "/run/vm/../docker.qmp" }, "allow.sockets"],
    [{ kind: "qemu", qmp: "/run/vm/evil.qmp" }, "allow.sockets"],
    [{ kind: "qemu", qmp: "run/vm/web.qmp" }, "allow.sockets"],
    [{ kind: "qemu", qmp: "tcp:198.51.100.1:4444" }, "allow.sockets"],
    [{ kind: "reference" }, "allow.launch"],
  ];
  for (const [definition, field] of bad) {
    await assert.rejects(
      requireAllowed(definition, rules, realPath),
      withCode("guest_not_allowed", field),
      JSON.stringify(definition),
    );
  }
  await requireAllowed({ kind: "reference" }, { ...rules, launch: ["reference"] }, realPath);
  // A hook is a command as well.
  const hooked = (command: string[]) => ({
    kind: "reference" as const,
    redirect: { means: [{ kind: "announce" }, { kind: "hook", command }] },
  });
  const hooks: AllowRules = { ...rules, launch: ["reference", ["/sbin/route-to", "{name}"]] };
  await requireAllowed(hooked(["/sbin/route-to", "web"]), hooks, realPath);
  await assert.rejects(
    () => requireAllowed(hooked(["/bin/sh", "-c", "id"]), hooks, realPath),
    withCode("guest_not_allowed", "allow.launch"),
  );
});

Deno.test("without rules an admin may name anything, and with empty ones nothing", async () => {
  const all: NamedByDefinition[] = [
    launch("relative.raw", "--anything"),
    { kind: "qemu", qmp: "qmp" },
    { kind: "reference" },
  ];
  for (const definition of all) {
    await requireAllowed(definition, ALLOW_ALL, realPath);
    await assert.rejects(
      requireAllowed(definition, { paths: [], sockets: [], launch: [] }, realPath),
      withCode("guest_not_allowed"),
    );
  }
});

const OPEN: PeerAcceptance = {
  guests: ["*"],
  memoryBytesMax: null,
  diskBytesMax: null,
  movesMax: null,
};
const ASKED = { guest: "web-1", peer: "south", site: "north" };

Deno.test("a peer has the rules under its name, else those for all others, else none", () => {
  const named = { ...OPEN, guests: ["web-*"] };
  const others = { ...OPEN, guests: [] };
  const rules: AcceptRules = { peers: { south: named, "*": others } };
  assert.equal(acceptanceOf(rules, "south"), named);
  assert.equal(acceptanceOf(rules, "east"), others);
  assert.equal(acceptanceOf({ peers: { south: named } }, "east"), null);
  assert.equal(acceptanceOf({ peers: {} }, "constructor"), null);
});

Deno.test("a guest is accepted by its id, and a refusal says who can change that", () => {
  requireGuestAccepted(null, ASKED);
  requireGuestAccepted(OPEN, ASKED);
  requireGuestAccepted({ ...OPEN, guests: ["db", "web-?"] }, ASKED);
  for (const guests of [[], ["db"], ["web"]]) {
    assert.throws(
      () => requireGuestAccepted({ ...OPEN, guests }, ASKED),
      withCode("guest_not_accepted", "north", "accept.peers.south.guests"),
    );
  }
});

Deno.test("quotas count what the peer has here with the new machine, each by itself", () => {
  const sizes = { memoryBytes: 10, diskBytes: 100 };
  const used = { memoryBytes: 20, diskBytes: 200, moves: 1 };
  requireQuota(null, ASKED, sizes, used);
  requireQuota(OPEN, ASKED, sizes, used);
  const exactly = { ...OPEN, memoryBytesMax: 30, diskBytesMax: 300, movesMax: 2 };
  requireQuota(exactly, ASKED, sizes, used);
  for (const field of ["memoryBytesMax", "diskBytesMax", "movesMax"] as const) {
    assert.throws(
      () => requireQuota({ ...exactly, [field]: exactly[field] - 1 }, ASKED, sizes, used),
      withCode("quota_exceeded", `accept.peers.south.${field}`, `is ${exactly[field] - 1}`),
    );
  }
});
