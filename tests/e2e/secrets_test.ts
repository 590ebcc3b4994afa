import assert from "node:assert/strict";
import { ENDED_STATES } from "../../src/migration/report.ts";
import { RealSites } from "../../src/testing/real_sites.ts";
import { causeway, causewayJson, Serving, SiteApi } from "../../src/testing/site_process.ts";

/** Where secrets are meant to be, relative to a site's folder. */
const SECRET_FILES = ["api-token", "site.key", "link-key.pem", "state/store/key", "watcher-token"];
/** Wide, and long enough that a busy computer does not look like a congested link. */
const PROFILE = "transatlantic";
const ARGUMENT = "argument-that-is-a-secret";
const WRONG = "wrong-token-that-somebody-else-may-use";

/** What must not be found anywhere: by what it is of. */
type Secrets = Map<string, Uint8Array>;

function addText(secrets: Secrets, name: string, text: string): void {
  secrets.set(name, new TextEncoder().encode(text.trim()));
}

/** Base64 of a private key in PEM, line by line, and the bytes behind it. */
function addKey(secrets: Secrets, name: string, pem: string): void {
  const [, body] = /-----BEGIN PRIVATE KEY-----\s([^-]+)-----END/.exec(pem)!;
  const lines = body.trim().split("\n");
  lines.forEach((line, at) => addText(secrets, `${name}, line ${at + 1}`, line));
  // The secret number alone: 32 bytes behind the header of PKCS 8 and of RFC 5915.
  secrets.set(`${name}, its number`, Uint8Array.fromBase64(lines.join("")).slice(36, 68));
}

async function* filesBelow(directory: string, path = ""): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(`${directory}/${path}`)) {
    const inner = path === "" ? entry.name : `${path}/${entry.name}`;
    if (entry.isDirectory) yield* filesBelow(directory, inner);
    else if (entry.isFile) yield inner;
  }
}

/** Site a drops its peer and trusts it again: the connection between them is another one then. */
async function reconnect({ a, b, emulator }: RealSites): Promise<void> {
  const until = async (peers: number) => {
    for (let tries = 0; tries < 300; tries++) {
      const views = await a.api.call<{ state: string }[]>("GET", "/peers");
      if (views.length === peers && views.every(({ state }) => state === "up")) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`There were never ${peers} peers, all up`);
  };
  await until(1);
  const config = ["--config", a.configPath, "--peer", "b"];
  await causewayJson("untrust", ...config);
  await until(0);
  await causewayJson(
    ...["trust", ...config, "--certificate", `${b.directory}/site.crt`],
    ...["--address", emulator.ready("listen")],
  );
  await until(1);
}

async function move(sites: RealSites): Promise<string> {
  // Writes nothing: how fast this computer is must not decide whether it arrives.
  const workload = { memoryBytesPerSecond: 0, diskBytesPerSecond: 0 };
  const machine = { kind: "reference", memoryMiB: 4, disks: [{ sizeMiB: 1 }], workload };
  await sites.a.api.call("PUT", "/guests/g", machine);
  await sites.b.api.call("PUT", "/guests/g", { ...machine, role: "incoming" });
  const { id } = await sites.a.api.call<{ id: string }>("POST", "/migrations", {
    guest: "g",
    to: "b",
    strategy: "stop-and-copy",
    maxDowntimeMs: 60_000,
  });
  const ended = await sites.a.api.until(id, ({ state }) => ENDED_STATES.includes(state), 90_000);
  assert.equal(ended.state, "completed", JSON.stringify(ended.error));
  return id;
}

Deno.test("no token, key or argument of a machine is in logs, answers, errors, audit, ledger or state", async () => {
  await using sites = await RealSites.start(PROFILE);
  const secrets: Secrets = new Map();
  const seen = new Map<string, Uint8Array>();
  const see = (where: string, text: string) => seen.set(where, new TextEncoder().encode(text));

  const { a, b } = sites;
  addText(secrets, "wrong token", WRONG);
  addText(secrets, "argument of a machine", ARGUMENT);
  for (const site of [a, b]) {
    addText(secrets, `token of ${site.directory}`, site.api.token);
    addKey(
      secrets,
      `authority of ${site.directory}`,
      await Deno.readTextFile(`${site.directory}/site.key`),
    );
  }
  const watcher = await a.api.call<{ token: string }>("POST", "/tokens", {
    name: "watcher",
    role: "read",
  });
  addText(secrets, "token of the API", watcher.token);
  const made = await causeway(
    ...["tokens", "create", "--name", "second", "--role", "admin", "--config", a.configPath],
    ...["--out", `${a.directory}/watcher-token`],
  );
  assert.equal(made.code, 0, made.stderr);
  see("output of tokens create", made.stdout + made.stderr);
  addText(secrets, "second", await Deno.readTextFile(`${a.directory}/watcher-token`));

  // The key is replaced while the gateways run, and the move crosses on a connection that has it.
  const rotated = await causeway("rotate-key", "--config", b.configPath);
  assert.equal(rotated.code, 0, rotated.stderr);
  see("output of rotate-key", rotated.stdout + rotated.stderr);
  addKey(secrets, "link key", await Deno.readTextFile(`${b.directory}/link-key.pem`));
  await reconnect(sites);
  const id = await move(sites);

  // Whatever can go wrong with a secret in it.
  for (let count = 0; count < 30; count++) {
    const answer = await fetch(`${a.api.url}/v1/migrations/${id}?token=${watcher.token}`, {
      headers: { authorization: `Bearer ${WRONG}` },
    });
    see(`wrong token ${count}`, await answer.text() + JSON.stringify([...answer.headers]));
  }
  const failing = { argv: ["sh", "-c", "exit 3", `--secret=${ARGUMENT}`], disks: [] };
  const launched = await a.api.request("PUT", "/guests/h", { kind: "qemu", launch: failing });
  assert.ok(launched.status >= 400);
  see("failed launch", JSON.stringify(launched.body));
  for (const site of [a, b]) {
    for (const path of ["/migrations", "/audit?limit=10000", "/guests", "/peers", "/tokens"]) {
      see(`${site.directory} ${path}`, JSON.stringify(await site.api.call("GET", path)));
    }
    for (const path of ["/metrics", "/openapi.json", "/healthz"]) {
      const headers = { authorization: `Bearer ${site.api.token}` };
      see(
        `${site.directory} ${path}`,
        await (await fetch(site.api.url + path, { headers })).text(),
      );
    }
  }
  const { body: kinds } = await a.api.request("GET", "/audit?limit=10000");
  const audited = new Set((kinds as { kind: string }[]).map(({ kind }) => kind));
  for (const kind of ["token_created", "token_refused", "address_locked", "request"]) {
    assert.ok(audited.has(kind), kind);
  }
  const atB = await b.api.call<{ kind: string }[]>("GET", "/audit?kind=key_replaced");
  assert.equal(atB.length, 1);
  const seenByA = await a.api.call<{ body: { generation: number } }[]>(
    "GET",
    "/audit?kind=peer_key_seen",
  );
  assert.deepEqual(seenByA.map(({ body }) => body.generation), [1]);

  const stopped = await sites.stop();
  assert.deepEqual([stopped.a, stopped.b], [0, 0]);
  for (const site of [a, b]) {
    see(`log of ${site.directory}`, site.gateway.stderr);
    for await (const file of filesBelow(site.directory)) {
      if (SECRET_FILES.includes(file)) continue;
      seen.set(`${site.directory}/${file}`, await Deno.readFile(`${site.directory}/${file}`));
    }
    const key = await Deno.readFile(`${site.directory}/state/store/key`).catch(() => null);
    if (key !== null) secrets.set(`store of ${site.directory}`, key.slice(0, 32));
  }
  assert.ok([...seen.keys()].some((where) => where.endsWith("ledger.sqlite")));
  // Searched as text, one character for each byte: that is what the runtime does fast.
  const latin = new TextDecoder("latin1");
  const sought = [...secrets].map(([of, secret]) => [of, latin.decode(secret)]);
  const found = [...seen].flatMap(([where, bytes]) => {
    const text = latin.decode(bytes);
    return sought.filter(([, secret]) => text.includes(secret)).map(([of]) => `${of} in ${where}`);
  });
  assert.deepEqual(found, []);
});

Deno.test("a gateway works without the file of its token and without its authority's key", async () => {
  const directory = await Deno.makeTempDir({ prefix: "cw-" });
  try {
    const { configPath, apiTokenPath } = await causewayJson<Record<string, string>>(
      ...["init", "--site", "a", "--dir", `${directory}/a`],
      ...["--link", "127.0.0.1:0", "--http", "127.0.0.1:0"],
    );
    const kept = `${directory}/kept-token`;
    const first = await causeway("rotate-key", "--config", configPath);
    assert.equal(first.code, 0, first.stderr);
    await Deno.rename(`${directory}/a/site.key`, `${directory}/kept-key`);
    {
      await using gateway = await Serving.start("gateway", "--config", configPath);
      await SiteApi.open(gateway, apiTokenPath).then((api) => api.call("GET", "/guests"));
      await Deno.rename(apiTokenPath, kept);
      assert.equal((await gateway.stop()).code, 0);
    }
    await using gateway = await Serving.start("gateway", "--config", configPath);
    const api = await SiteApi.open(gateway, kept);
    assert.deepEqual(await api.call("GET", "/guests"), []);
    const without = await causeway("guests", "--config", configPath);
    assert.equal(without.code, 2);
    const listed = await causeway("tokens", "--config", configPath, "--token-file", kept);
    assert.equal(listed.code, 0, listed.stderr);
    assert.match(listed.stdout, /operator +admin +active/);
    const next = await causeway(
      ...["rotate-key", "--config", configPath, "--authority-key", `${directory}/kept-key`],
    );
    assert.equal(next.code, 0, next.stderr);
    assert.match(next.stdout, /^generation 2 /);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
