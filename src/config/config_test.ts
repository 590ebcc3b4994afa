import assert from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { DEFAULT_KEPT_LIMITS } from "../migration/kept_images.ts";
import { formatHostPort, parseHostPort } from "./address.ts";
import { loadConfig, parseConfig } from "./config.ts";
import { initSite } from "./init.ts";

function refused(code: string, ...parts: string[]) {
  return (error: unknown) =>
    error instanceof GatewayError && error.code === code && error.hint.length > 0 &&
    parts.every((part) => error.message.includes(part));
}

async function inDirectory(body: (dir: string) => Promise<void>) {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("parseConfig() fills defaults", () => {
  const config = parseConfig('{"site":"a"}', "c.json");
  assert.equal(config.link, "0.0.0.0:7420");
  assert.equal(config.http, "127.0.0.1:7421");
  assert.deepEqual(config.peers, []);
  assert.equal(config.limits.linkBytesPerSecond, null);
  const { keptImagesMax, keptBytesMax, keptAttemptMs, keptDepartureMs } = config.limits;
  const kept = { keptImagesMax, keptBytesMax, keptAttemptMs, keptDepartureMs };
  assert.deepEqual(kept, DEFAULT_KEPT_LIMITS);
  const partly = parseConfig('{"site":"a","limits":{"linkBytesPerSecond":2048}}', "c.json");
  assert.equal(partly.limits.linkBytesPerSecond, 2048);
  assert.equal(partly.limits.siteStoreBytesMax, 2 ** 30);
  assert.deepEqual(partly.sharedImages, []);
  assert.equal(partly.limits.unacknowledgedBytesMax, config.limits.unacknowledgedBytesMax);
});

Deno.test("parseConfig() leaves it to admins what machines name, and to peers what they send", () => {
  const { allow, accept, httpHosts } = parseConfig('{"site":"a"}', "c.json");
  assert.deepEqual(allow, { paths: null, sockets: null, launch: null });
  assert.deepEqual(accept, { peers: {} });
  assert.deepEqual(httpHosts, []);
  const text = JSON.stringify({
    site: "a",
    allow: {
      paths: ["/vm"],
      sockets: ["/run/*.qmp", "tcp:192.0.2.1:*"],
      launch: ["reference", ["qemu", "-m", "{number}", "{...}"]],
    },
    accept: { peers: { b: { guests: ["web-*"], movesMax: 1 }, "*": { guests: [] } } },
  });
  const limited = parseConfig(text, "c.json");
  assert.deepEqual(limited.allow.launch, ["reference", ["qemu", "-m", "{number}", "{...}"]]);
  assert.deepEqual(limited.accept.peers.b, {
    guests: ["web-*"],
    memoryBytesMax: null,
    diskBytesMax: null,
    movesMax: 1,
  });
});

Deno.test("parseConfig() names file, line or field, and what is allowed", () => {
  const cases: [string, ...string[]][] = [
    ['{\n  "site": "a",\n}', "c.json", "line 3, column 1"],
    ["", "c.json", "line 1"],
    ["[]", "the file", "object"],
    ["{}", "site"],
    ['{"site":"../a"}', "site", "A-Z"],
    ['{"site":"a","link":"0.0.0.0"}', "link", "HOST:PORT"],
    ['{"site":"a","link":"0.0.0.0:65536"}', "link", "0 to 65535"],
    ['{"site":"a","linc":"0.0.0.0:1"}', "linc", "allowed", "link"],
    ['{"site":"a","peers":[{"name":"b"}]}', "peers[0].certificate"],
    [
      '{"site":"a","peers":[{"name":"b","certificate":"b","address":"h:0"}]}',
      "peers[0].address",
      "1 to 65535",
    ],
    ['{"site":"a","allow":{"sockets":["q.sock"]}}', "allow.sockets[0]", "tcp:HOST:PORT"],
    ['{"site":"a","allow":{"launch":[["{name}"]]}}', "allow.launch[0]", "to be named"],
    ['{"site":"a","allow":{"launch":["qemu"]}}', "allow.launch[0]", '"reference" or a command'],
    ['{"site":"a","accept":{"peers":{"b/c":{}}}}', "accept.peers", "Invalid key"],
    ['{"site":"a","accept":{"peers":{"b":{"movesMax":-1}}}}', "accept.peers.b.movesMax", ">=0"],
    [
      '{"site":"a","peers":[{"name":"b","certificate":"b"},{"name":"b","certificate":"c"}]}',
      "peers[1].name",
      "b is taken",
    ],
    [
      '{"site":"a","peers":[{"name":"b","certificate":"b","fingerprint":"ab"}]}',
      "peers[0].fingerprint",
      "64 hex digits",
    ],
    [
      '{"site":"a","limits":{"unacknowledgedBytesMax":1}}',
      "limits.unacknowledgedBytesMax",
      "4194304",
    ],
    ['{"site":"a","peers":[{"name":"b","certificate":"b","x":1}]}', "peers[0]", "x"],
  ];
  for (const [text, ...parts] of cases) {
    assert.throws(() => parseConfig(text, "c.json"), refused("config_invalid", ...parts), text);
  }
});

Deno.test("loadConfig() resolves paths from the directory of the file", () =>
  inDirectory(async (dir) => {
    const path = join(dir, "causeway.json");
    await Deno.writeTextFile(
      path,
      JSON.stringify({
        site: "a",
        ledgerFile: "/var/lib/x.sqlite",
        peers: [{ name: "b", certificate: "peers/b.crt" }],
        sharedImages: ["base.raw", "/images/x"],
        allow: { paths: ["disks", "/vm"] },
        nameServers: { main: { address: "[fd00::53]:53", zone: "example.org", keyFile: "k" } },
      }),
    );
    const config = await loadConfig(path);
    assert.equal(config.path, path);
    assert.equal(config.apiTokenFile, join(dir, "api-token"));
    assert.equal(config.ledgerFile, "/var/lib/x.sqlite");
    assert.equal(config.peers[0].certificate, join(dir, "peers/b.crt"));
    assert.deepEqual(config.sharedImages, [join(dir, "base.raw"), "/images/x"]);
    assert.deepEqual(config.allow.paths, [join(dir, "disks"), "/vm"]);
    assert.equal(config.nameServers.main.keyFile, join(dir, "k"));
  }));

Deno.test("loadConfig() refuses a missing file, a directory and an endless one", () =>
  inDirectory(async (dir) => {
    const path = join(dir, "causeway.json");
    await assert.rejects(loadConfig(path), refused("config_invalid", path));
    await assert.rejects(loadConfig(dir), refused("config_invalid", "not a file"));
    await Deno.writeTextFile(path, " ".repeat(1024 * 1024 + 1));
    await assert.rejects(loadConfig(path), refused("config_invalid", "1048577 bytes"));
  }));

Deno.test("initSite() writes a site whose secrets are 0600 and never overwrites one", () =>
  inDirectory(async (parent) => {
    const dir = join(parent, "a");
    const result = await initSite({ site: "a", dir, link: "127.0.0.1:0" });
    assert.match(result.fingerprint, /^sha256:[0-9a-f]{64}$/);
    const config = await loadConfig(join(dir, "causeway.json"));
    assert.equal(config.link, "127.0.0.1:0");
    assert.equal(config.http, "127.0.0.1:7421");
    for (const path of [config.keyFile, config.apiTokenFile]) {
      assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600, path);
    }
    const token = (await Deno.readTextFile(config.apiTokenFile)).trim();
    assert.equal(Uint8Array.fromBase64(token, { alphabet: "base64url" }).length, 32);

    const before = await Deno.readTextFile(config.certificateFile);
    await assert.rejects(initSite({ site: "a", dir }), refused("site_exists", dir));
    assert.equal(await Deno.readTextFile(config.certificateFile), before);
  }));

Deno.test("initSite() refuses a bad name or address before it writes anything", () =>
  inDirectory(async (dir) => {
    await assert.rejects(initSite({ site: "a/b", dir }), refused("config_invalid", "site"));
    await assert.rejects(
      initSite({ site: "a", dir, link: "nonsense" }),
      refused("config_invalid", "link", "HOST:PORT"),
    );
    assert.deepEqual([...Deno.readDirSync(dir)], []);
  }));

Deno.test("parseHostPort() reads what formatHostPort() writes, and nothing else", () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant("gateway-1.example"));
  fc.assert(fc.property(host, fc.nat(65_535), (hostname, port) => {
    assert.deepEqual(parseHostPort(formatHostPort({ hostname, port })), { hostname, port });
  }));
  for (const text of ["", ":1", "h:", "h:65536", "h:-1", "::1:7420", "[::1]", "h:1 ", "a b:1"]) {
    assert.equal(parseHostPort(text), null, text);
  }
});

Deno.test("what is wrong with a configuration is told in a few words, however much there is", () => {
  const names = Array.from({ length: 500 }, (_, i) => [`${"x".repeat(300)}${i}`, i]);
  const texts = [
    JSON.stringify({ site: "a", ...Object.fromEntries(names) }),
    JSON.stringify({ site: "a", dataHosts: Array(200).fill(1) }),
    "[".repeat(200_000),
  ];
  for (const text of texts) {
    assert.throws(
      () => parseConfig(text, "a.json"),
      (error) => refused("config_invalid")(error) && (error as Error).message.length < 1_000,
    );
  }
});
