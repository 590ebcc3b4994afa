import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { openDatabase } from "../../ledger/database.ts";
import { checkLedger } from "../../ledger/check.ts";
import { parseFreeBytes } from "../../host/disk_space.ts";
import { sampleGuest } from "../../http/testing/fake_service.ts";
import { runCommand, withServedSite } from "../testing/served_site.ts";
import type { Finding } from "./finding.ts";

interface Site {
  readonly directory: string;
  readonly configPath: string;
  /** The findings of `causeway doctor` by check, and its exit code. */
  doctor(...args: string[]): Promise<{ code: number; found: Map<string, Finding> }>;
}

/** A site without a gateway, on ports of the system's choice. */
async function withSite(body: (site: Site) => Promise<void>, ...init: string[]): Promise<void> {
  const parent = await Deno.makeTempDir({ prefix: "cw-doc-" });
  try {
    const directory = `${parent}/west`;
    const addresses = init.length > 0 ? init : ["--link", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    await runCommand("init", "--site", "west", "--dir", directory, ...addresses);
    const configPath = `${directory}/causeway.json`;
    await body({
      directory,
      configPath,
      doctor: (...args) => examine(() => runCommand("doctor", "--config", configPath, ...args)),
    });
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

async function examine(run: (...args: string[]) => Promise<{ code: number; out: string }>) {
  const { code, out } = await run();
  // Without --json the same findings are lines; the tests read those.
  const found = new Map<string, Finding>();
  const lines = out.split("\n");
  lines.forEach((line, at) => {
    const [, verdict, check, seen] = /^(ok|warn|fail) +(.+?) {2,}(.+)$/.exec(line) ?? [];
    if (verdict === undefined) return;
    const hint = lines[at + 1]?.startsWith(" ") ? lines[at + 1].trim() : "";
    found.set(check, { check, verdict: verdict as Finding["verdict"], seen, hint });
  });
  return { code, found };
}

Deno.test("a fresh site has nothing that fails, and exits with 0", async () => {
  await withSite(async ({ doctor, configPath }) => {
    const { code, found } = await doctor();
    assert.equal(code, 0, JSON.stringify([...found.values()], null, 1));
    assert.equal(found.get("permissions of the key")?.verdict, "ok");
    assert.equal(found.get("identity")?.verdict, "ok");
    assert.equal(found.get("gateway")?.verdict, "warn");
    assert.equal(found.get("peers")?.verdict, "warn");
    const { out } = await runCommand("doctor", "--json", "--config", configPath);
    const answered = JSON.parse(out) as { ok: boolean; findings: Finding[] };
    assert.equal(answered.ok, true);
    assert.deepEqual(new Set(answered.findings.map(({ check }) => check)), new Set(found.keys()));
  });
});

Deno.test("a configuration that cannot be read is the one finding", async () => {
  await withSite(async ({ configPath, doctor }) => {
    await Deno.writeTextFile(configPath, "{ nothing");
    const { code, found } = await doctor();
    assert.equal(code, 1);
    assert.deepEqual([...found.keys()], ["configuration"]);
  });
});

Deno.test("secrets that others can read, and files that others can change, fail", async () => {
  await withSite(async ({ directory, configPath, doctor }) => {
    for (
      const [path, mode, check, verdict] of [
        [`${directory}/site.key`, 0o640, "permissions of the key", "fail"],
        [`${directory}/site.key`, 0o640, "identity", "fail"],
        [`${directory}/api-token`, 0o604, "permissions of the API token", "fail"],
        [configPath, 0o666, "permissions of the configuration", "fail"],
        [`${directory}/state`, 0o755, "permissions of the state directory", "warn"],
      ] as const
    ) {
      const before = (await Deno.stat(path)).mode! & 0o777;
      await Deno.chmod(path, mode);
      const { code, found } = await doctor();
      assert.equal(found.get(check)?.verdict, verdict, check);
      assert.match(found.get(check)!.hint, /./);
      assert.equal(code, verdict === "fail" ? 1 : 0, check);
      await Deno.chmod(path, before);
    }
    await Deno.remove(`${directory}/api-token`);
    assert.equal((await doctor()).found.get("permissions of the API token")?.verdict, "warn");
  });
});

Deno.test("with a link key the key of the authority may be elsewhere, and others must not read it", async () => {
  await withSite(async ({ directory, configPath, doctor }) => {
    await runCommand("rotate-key", "--config", configPath);
    await Deno.remove(`${directory}/site.key`);
    const { code, found } = await doctor();
    assert.equal(code, 0);
    assert.equal(found.get("permissions of the link key")?.verdict, "ok");
    assert.equal(found.get("identity")?.verdict, "ok");
    assert.equal(found.has("permissions of the key"), false);
    await Deno.chmod(`${directory}/link-key.pem`, 0o644);
    const open = await doctor();
    assert.equal(open.found.get("permissions of the link key")?.verdict, "fail");
    assert.equal(open.code, 1);
  });
});

Deno.test("a ledger that is damaged, held or of a later version fails; a whole one does not", async () => {
  await withSite(async ({ directory, doctor }) => {
    const path = `${directory}/state/ledger.sqlite`;
    const database = openDatabase(path);
    database.exec(`INSERT INTO guest VALUES
      ('vm', '{"kind":"qemu","qmp":"${directory}/none.qmp"}', 'source', '2024-01-01')`);
    const { found } = await doctor();
    assert.equal(found.get("ledger")?.verdict, "ok");
    assert.equal(found.get("machine vm")?.verdict, "fail", "its monitor is not there");
    assert.match(found.get("machine vm")!.seen, /none\.qmp/);

    database.exec("BEGIN IMMEDIATE");
    assert.match(checkLedger(path, 10).problem ?? "", /locked/);
    database.exec("ROLLBACK; PRAGMA user_version = 999");
    assert.match(checkLedger(path).problem ?? "", /version 999/);
    database.close();
    await Deno.writeTextFile(path, "no database, but longer than the head of one ".repeat(9));
    const damaged = await doctor();
    assert.equal(damaged.code, 1);
    assert.equal(damaged.found.get("ledger")?.verdict, "fail");
  });
});

Deno.test("the check of a ledger leaves it as it was", () => {
  const path = Deno.makeTempFileSync();
  try {
    const database = new DatabaseSync(path);
    database.exec("CREATE TABLE other (x)");
    database.close();
    const before = Deno.readFileSync(path);
    assert.equal(checkLedger(path).problem, null);
    assert.deepEqual(Deno.readFileSync(path), before);
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("ports that another program holds fail, with the port named", async () => {
  const udp = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = (udp.addr as Deno.NetAddr).port;
  // The other program does not speak HTTP: a gateway would not be told from one that hangs.
  const closing = (async () => {
    for await (const conn of tcp) conn.close();
  })();
  await withSite(
    async ({ doctor }) => {
      const { code, found } = await doctor();
      assert.equal(code, 1);
      assert.equal(found.get("link port (UDP)")?.verdict, "fail");
      assert.match(found.get("link port (UDP)")!.seen, new RegExp(`127.0.0.1:${port}: another`));
      assert.equal(found.get("link port (TCP)")?.verdict, "ok");
      assert.equal(found.get("API port")?.verdict, "fail");
    },
    "--link",
    `127.0.0.1:${port}`,
    "--http",
    `127.0.0.1:${tcp.addr.port}`,
  );
  udp.close();
  tcp.close();
  await closing;
});

Deno.test("a gateway that runs is asked for its peers, machines and ledger", async () => {
  await withServedSite({
    guests: () =>
      Promise.resolve([{ ...sampleGuest("vm"), runState: "unreachable", description: null }]),
    health: () => ({ status: "degraded", checks: { ledger: "unwritable", link: "127.0.0.1:1" } }),
  }, async ({ run }) => {
    const { code, found } = await examine(() => run("doctor"));
    assert.equal(code, 1);
    assert.equal(found.get("gateway")?.verdict, "fail");
    assert.match(found.get("gateway")!.seen, /cannot write its ledger/);
    assert.equal(found.get("machine vm")?.verdict, "fail");
    assert.equal(found.get("link port (TCP)")?.verdict, "fail", "nobody listens on port 1");
  });
});

Deno.test("an unknown peer fails with the known ones named", async () => {
  await withSite(async ({ doctor }) => {
    const { code, found } = await doctor("--peer", "nobody");
    assert.equal(code, 1);
    assert.match(found.get("peers")!.seen, /nobody/);
  });
});

Deno.test("free space is read from what df prints, also of names with spaces", () => {
  const head = "Filesystem     1024-blocks      Used Available Capacity Mounted on\n";
  assert.equal(parseFreeBytes(`${head}/dev/sda1  1000 400 600  40% /`), 600 * 1024);
  assert.equal(parseFreeBytes(`${head}a b c  1000 400 7  99% /mnt/x y`), 7 * 1024);
  assert.equal(parseFreeBytes(head), null);
  assert.equal(parseFreeBytes(""), null);
});
