import assert from "node:assert/strict";
import { initSite } from "../../src/config/init.ts";
import { SmallDisk } from "./support/small_disk.ts";
import { causeway } from "../../src/testing/site_process.ts";

const LOOPBACK = "127.0.0.1:0";

interface Case {
  readonly name: string;
  /** Spoils the site, or says what else to run; returns what has to be undone. */
  readonly spoil: (site: Site) => Promise<Disposable | AsyncDisposable | void>;
  readonly code: number;
  readonly says: RegExp;
}

interface Site {
  readonly directory: string;
  readonly configPath: string;
}

const CASES: readonly Case[] = [
  {
    name: "a link address whose UDP port another process has",
    spoil: async (site) => {
      const taken = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
      await edit(site, { link: `127.0.0.1:${(taken.addr as Deno.NetAddr).port}` });
      return { [Symbol.dispose]: () => taken.close() };
    },
    code: 1,
    says: /Cannot listen on 127\.0\.0\.1:\d+ \(UDP\): another process does/,
  },
  {
    name: "a link address whose TCP port another process has",
    spoil: async (site) => {
      const taken = Deno.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
      await edit(site, { link: `127.0.0.1:${taken.addr.port}` });
      return taken;
    },
    code: 1,
    says: /Cannot listen on 127\.0\.0\.1:\d+ \(TCP\): another process does/,
  },
  {
    name: "a configuration that is no JSON",
    spoil: (site) => Deno.writeTextFile(site.configPath, '{\n  "site": "a",\n  "http" 7\n}\n'),
    code: 2,
    says: /causeway\.json: it is not JSON at line 3, column \d+/,
  },
  {
    name: "a field with a value that is not allowed",
    spoil: (site) => edit(site, { link: "somewhere" }),
    code: 2,
    says: /causeway\.json: link: allowed: HOST:PORT/,
  },
  {
    name: "a ledger that is no database",
    spoil: (site) =>
      Deno.writeTextFile(`${site.directory}/state/ledger.sqlite`, "garbage".repeat(1000)),
    code: 1,
    says: /Cannot open the ledger .*ledger\.sqlite: /,
  },
  {
    name: "a state directory that is read-only",
    spoil: async (site) => {
      return await SmallDisk.mount(1, `${site.directory}/state`, true);
    },
    code: 1,
    says: /Cannot lock .*\.lock: Read-only file system/,
  },
];

for (const { name, spoil, code, says } of CASES) {
  Deno.test(`a gateway with ${name} does not start, and says why in one line`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "cw-start-" });
    try {
      const { configPath } = await initSite({
        site: "a",
        dir: directory,
        link: LOOPBACK,
        http: LOOPBACK,
      });
      await using _taken = await spoil({ directory, configPath }) ??
        { [Symbol.dispose]: () => {} };
      const ended = await causeway("gateway", "--config", configPath);
      assert.equal(ended.code, code, ended.stderr);
      assert.equal(ended.stdout, "");
      assert.match(ended.stderr, says);
      assert.doesNotMatch(ended.stderr, /^ +at /m, "a stack is no message");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

async function edit({ configPath }: Site, changes: Record<string, unknown>): Promise<void> {
  const config = JSON.parse(await Deno.readTextFile(configPath));
  await Deno.writeTextFile(configPath, JSON.stringify({ ...config, ...changes }, null, 2));
}
