/** The IP-level link between two real namespaces: kernel TCP, ping and counters. Root only. */
import assert from "node:assert/strict";
import { startTunLink, type TunLink, type TunLinkOptions } from "../../src/emulator/tun_link.ts";
import { parseProfile } from "../../src/emulator/profile.ts";
import type { WanProfile } from "../../src/emulator/settings.ts";
import { createNamespace, type NetworkNamespace } from "../../src/testing/netns.ts";
import { requires } from "../../src/testing/requirements.ts";

const needs = await requires("tun", "namespaces");

const LEFT = "10.91.0.1";
const RIGHT = "10.91.0.2";
const ONE_WAY_MS = 20;

function profileOf(settings: Record<string, unknown> = {}): WanProfile {
  return parseProfile(
    JSON.stringify({
      name: "test",
      description: "test",
      source: "test",
      forward: { rateBitsPerSecond: 100_000_000, delayMs: ONE_WAY_MS, ...settings },
    }),
    "test",
  );
}

/** Two namespaces with a link between them, all removed afterwards. */
async function withLink(
  settings: Record<string, unknown>,
  body: (link: TunLink, left: NetworkNamespace, right: NetworkNamespace) => Promise<void>,
): Promise<void> {
  await using left = await createNamespace("tunl");
  await using right = await createNamespace("tunr");
  await using link = await startTunLink({
    profile: profileOf(settings),
    left: { netns: left.name, device: "wan0", address: [`${LEFT}/24`, "fd91::1/64"] },
    right: { netns: right.name, device: "wan0", address: [`${RIGHT}/24`, "fd91::2/64"] },
  });
  await body(link, left, right);
}

/** Runs a script in a namespace by this same runtime, with the network as its only permission. */
function runScript(namespace: NetworkNamespace, script: string) {
  const [command, ...args] = namespace.argv(Deno.execPath(), "eval", "--no-config", script);
  return new Deno.Command(command, { args, stdin: "null", stdout: "piped" }).spawn();
}

const RECEIVER = `
  const listener = Deno.listen({ hostname: "::", port: 7000 });
  console.log("listening");
  const conn = await listener.accept();
  const hash = new Uint32Array(1);
  let byteCount = 0;
  const buffer = new Uint8Array(65536);
  for (let n; (n = await conn.read(buffer)) !== null; byteCount += n) {
    for (let i = 0; i < n; i++) hash[0] = Math.imul(hash[0], 31) + buffer[i];
  }
  console.log(JSON.stringify({ byteCount, hash: hash[0] }));
  Deno.exit(0);`;

const senderOf = (address: string, byteCount: number) => `
  const startMs = performance.now();
  const conn = await Deno.connect({ hostname: "${address}", port: 7000 });
  const connectMs = performance.now() - startMs;
  const bytes = Uint8Array.from({ length: ${byteCount} }, (_, i) => Math.imul(i, 2654435761) >>> 24);
  const hash = new Uint32Array(1);
  for (const byte of bytes) hash[0] = Math.imul(hash[0], 31) + byte;
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
  await conn.closeWrite();
  await conn.read(new Uint8Array(1));
  console.log(JSON.stringify({ byteCount: bytes.length, hash: hash[0], connectMs }));
  Deno.exit(0);`;

/** Sends bytes over one kernel TCP connection; both ends say what they saw. */
async function transfer(
  left: NetworkNamespace,
  right: NetworkNamespace,
  address: string,
  byteCount: number,
) {
  const receiver = runScript(right, RECEIVER);
  const lines = receiver.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await lines.read()).value, "listening\n");
  const sender = runScript(left, senderOf(address, byteCount));
  const sent = JSON.parse(await new Response(sender.stdout).text());
  const got = JSON.parse((await lines.read()).value!);
  await lines.cancel();
  await Promise.all([sender.status, receiver.status]);
  return { sent, got };
}

Deno.test("kernel TCP crosses the link whole, on IPv4 and IPv6", needs, async () => {
  await withLink({ lossRatio: 0.005, duplicateRatio: 0.01 }, async (link, left, right) => {
    for (const address of [RIGHT, "fd91::2"]) {
      const { sent, got } = await transfer(left, right, address, 300_000);
      assert.equal(sent.byteCount, 300_000);
      assert.deepEqual(got, { byteCount: sent.byteCount, hash: sent.hash });
      assert(sent.connectMs >= 2 * ONE_WAY_MS, `connected in ${sent.connectMs} ms`);
    }
    const { forward, backward } = await link.counters();
    assert(forward.deliveredBytes > 600_000 && forward.deliveredBytes < 900_000);
    assert(backward.offeredPackets > 50, "acknowledgements");
  });
});

Deno.test("an idle link carries nothing", needs, async () => {
  await withLink({}, async (link) => {
    const { forward, backward, deviceDrops } = await link.counters();
    assert.deepEqual([forward.offeredPackets, backward.offeredPackets, deviceDrops], [0, 0, 0]);
  });
});

Deno.test("loss, changes and outages of a running link", needs, async () => {
  await withLink({ delayMs: 1 }, async (link, left) => {
    const udpScript = (count: number) => `
      const socket = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
      const to = { transport: "udp", hostname: "${RIGHT}", port: 9 };
      for (let i = 0; i < ${count}; i++) await socket.send(new Uint8Array(100), to);
      Deno.exit(0);`;
    const [command, ...args] = left.argv(Deno.execPath(), "eval", "--unstable-net", "--no-config");
    const send = async (count: number) => {
      const sender = new Deno.Command(command, { args: [...args, udpScript(count)] });
      assert((await sender.output()).success);
      return (await link.counters()).forward;
    };
    assert.equal((await send(10)).deliveredBytes, 10 * 128);
    await link.applyChange({ lossRatio: 1 }, "forward");
    assert.equal((await send(5)).droppedPackets.loss, 5);
    await link.applyChange({ lossRatio: 0 });
    await link.cut("forward");
    assert.equal((await send(5)).droppedPackets.outage, 5);
    await link.restore();
    await link.setProfile(profileOf({ corruptRatio: 1 }));
    const counters = await send(5);
    assert.equal(counters.droppedPackets.corrupt, 5);
    assert.equal(counters.offeredPackets, 25);
    await link.outage(10_000, "hold", "backward");
  });
});

Deno.test("close() removes both devices, also twice", needs, async () => {
  await using left = await createNamespace("tunl");
  await using right = await createNamespace("tunr");
  const link = await startTunLink({
    profile: profileOf(),
    left: { netns: left.name, device: "wan0", address: `${LEFT}/24` },
    right: { netns: right.name, device: "wan0", address: `${RIGHT}/24` },
  });
  assert.match(await left.ip("link", "show"), /wan0/);
  await Promise.all([link.close(), link.close()]);
  for (const namespace of [left, right]) {
    assert.doesNotMatch(await namespace.ip("link", "show"), /wan0/);
  }
  await assert.rejects(link.counters(), { code: "tun_unavailable" });
});

Deno.test("what cannot be set up is refused and leaves nothing behind", needs, async () => {
  await using left = await createNamespace("tunl");
  await using right = await createNamespace("tunr");
  const start = (change: Partial<TunLinkOptions["right"]>) =>
    startTunLink({
      profile: profileOf(),
      left: { netns: left.name, device: "wan0", address: `${LEFT}/24` },
      right: { netns: right.name, device: "wan0", address: `${RIGHT}/24`, ...change },
    });
  await assert.rejects(
    start({ netns: "cw-none" }),
    /open \/run\/netns\/cw-none failed with errno 2/,
  );
  await assert.rejects(start({ netns: left.name }), /TUNSETIFF wan0 failed with errno 16/);
  await assert.rejects(start({ device: "a-name-too-long-for-it" }), /1 to 15 bytes/);
  await assert.rejects(start({ address: "10.0.0.1/99" }), { code: "tun_unavailable" });
  assert.doesNotMatch(await left.ip("link", "show"), /wan0/);
});
