import assert from "node:assert/strict";
import { initSite } from "../../src/config/init.ts";
import { trustPeer } from "../../src/config/trust.ts";
import { startRelay } from "../../src/emulator/udp_relay.ts";
import { loadProfile } from "../../src/emulator/load_profile.ts";
import { composeGateway } from "../../src/gateway/compose.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import { eventually } from "./support/killable_sites.ts";
import { machineDefinition } from "./support/reference_sites.ts";

const LOOPBACK = "127.0.0.1:0";
/** Slow enough for the path to change in the middle. */
const RATE_BYTES_PER_SECOND = 3_000_000;
/** What may be in flight when the old path goes. */
const IN_FLIGHT_BYTES_MAX = 4_000_000;

Deno.test("a peer that gets another address is found there, and the move goes on where it was", async () => {
  await using owned = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "cw-p-" });
  owned.defer(() => Deno.remove(directory, { recursive: true }).catch(() => {}));
  const log: string[] = [];
  const site = async (name: "a" | "b") =>
    await initSite({ site: name, dir: `${directory}/${name}`, link: LOOPBACK, http: LOOPBACK });
  const [initA, initB] = [await site("a"), await site("b")];
  const start = async (name: string, configPath: string) => {
    const gateway = await composeGateway(
      configPath,
      systemClock(),
      (level, message) => log.push(`${name} ${level} ${message}`),
    );
    owned.defer(async () => {
      await gateway.service.deleteGuest("g", true).catch(() => {});
      await gateway.close();
    });
    return gateway;
  };
  const b = await start("b", initB.configPath);
  await trustPeer({
    config: initB.configPath,
    peer: "a",
    certificate: initA.certificatePath,
  });
  const profile = await loadProfile("continental");
  const path = async () => {
    const relay = await startRelay({ profile, listen: LOOPBACK, to: b.linkAddress });
    owned.defer(() => relay.close());
    await trustPeer({
      config: initA.configPath,
      peer: "b",
      certificate: initB.certificatePath,
      address: relay.address,
    });
    return relay;
  };
  const first = await path();
  const a = await start("a", initA.configPath);
  await a.service.putGuest("g", machineDefinition("source"));
  await b.service.putGuest("g", machineDefinition("incoming"));
  const { id } = await a.service.startMigration({
    guest: "g",
    to: "b",
    options: migrationOptions.parse({ maxDowntimeMs: 2_000, rate: RATE_BYTES_PER_SECOND }),
  });
  await eventually(
    "a part has crossed",
    () => a.service.migration(id).wireBytes.total > RATE_BYTES_PER_SECOND,
  );
  // The old path is gone; whoever sends there hears nothing.
  await first.close();
  const before = a.service.migration(id).progress;
  await path();
  const report = () => a.service.migration(id);
  await eventually(
    "the end",
    () => {
      assert.ok(report().progress >= before, "progress went back");
      return ["completed", "failed"].includes(report().state);
    },
    60_000,
  );
  assert.equal(report().state, "completed", log.join("\n"));
  const resent = a.service.peers()[0].resentBytes + b.service.peers()[0].resentBytes;
  assert.ok(resent <= IN_FLIGHT_BYTES_MAX, `${resent} bytes were sent again`);
  const { ok } = await b.service.verifyGuest("g") as { ok: boolean };
  assert.equal(ok, true);
});
