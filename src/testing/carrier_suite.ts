/** What every carrier between gateways has to do, over real sockets on loopback. */
import assert from "node:assert/strict";
import { Random } from "../core/random.ts";
import type { Carrier, CarrierKind } from "../link/carrier.ts";
import { BUNDLE_WINDOW_BYTES } from "../link/quic_carrier.ts";
import { RECORD_BYTES_MAX } from "../wire/limits.ts";
import {
  type Audited,
  clock,
  failsWith,
  never,
  open,
  trust,
  until,
  withPair,
  withSites,
} from "./quic_support.ts";

/** Registers the cases for one kind of carrier. */
export function testCarrier(kind: CarrierKind): void {
  Deno.test(`${kind}: records of any size arrive whole in both directions at once`, () =>
    withPair(async ({ dial }) => {
      const [near, far] = await dial();
      assert.deepEqual([near.peerName, far.peerName], ["b", "a"]);
      const transfer = async (from: Carrier, to: Carrier, seed: number, totalBytes: number) => {
        const random = new Random(seed, "sizes");
        const waiting = new Map<number, { bytes: number; first: number }>();
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        let leftBytes = totalBytes;
        to.receive((record) => {
          try {
            const view = new DataView(record.buffer, record.byteOffset);
            const number = view.getUint32(0);
            const sent = waiting.get(number);
            assert.deepEqual({ bytes: record.length, first: record[4] }, sent);
            assert.ok(record.subarray(4).every((byte) => byte === sent!.first));
            waiting.delete(number);
            leftBytes -= record.length;
            if (leftBytes <= 0 && waiting.size === 0) resolve();
          } catch (error) {
            reject(error);
          }
        });
        for (let sentBytes = 0, number = 0; sentBytes < totalBytes; number++) {
          const size = number % 100 === 0
            ? RECORD_BYTES_MAX
            : 5 + Math.floor(random.nextRatio() ** 4 * 400_000);
          const record = new Uint8Array(size).fill(number % 251);
          new DataView(record.buffer).setUint32(0, number);
          waiting.set(number, { bytes: size, first: number % 251 });
          sentBytes += size;
          await from.send(record, number % 7 === 0 && size < 50_000);
        }
        await promise;
      };
      await Promise.all([
        transfer(near, far, 1, 10_000_000),
        transfer(far, near, 2, 10_000_000),
      ]);
      const path = near.path();
      assert.ok(
        path.roundTripMs !== null && path.minRoundTripMs !== null && path.silentMs !== null,
      );
      await near.close("done");
      assert.equal((await near.closed).reason, "done");
      await far.closed;
      await assert.rejects(near.send(new Uint8Array(1), true), failsWith("link_closed", "b"));
    }, kind));

  Deno.test(`${kind}: pace() spreads a record that is under way, by what it costs on the wire`, () =>
    withPair(async ({ dial }) => {
      const [near, far] = await dial();
      far.receive(() => {});
      const record = new Uint8Array(200_000);
      assert.ok(near.packetBytes(record.length) > 1.03 * record.length, "headers are paid for");
      assert.ok(near.packetBytes(100) > 150, "of a small one most of all");
      near.pace(1_000_000);
      let startMs = clock.nowMs();
      await near.send(record, false);
      const tookMs = clock.nowMs() - startMs;
      assert.ok(tookMs > 190, `${tookMs} ms`);
      // At this pace it would take a minute.
      near.pace(20_000);
      startMs = clock.nowMs();
      const slow = near.send(new Uint8Array(RECORD_BYTES_MAX), false);
      await near.send(new Uint8Array(100), true);
      near.pace(null);
      await slow;
      assert.ok(clock.nowMs() - startMs < 10_000, `${clock.nowMs() - startMs} ms`);
      await near.close("done");
    }, kind));

  Deno.test(`${kind}: what was sent before close() arrives, on every lane`, () =>
    withPair(async ({ dial }) => {
      const [near, far] = await dial();
      let receivedBytes = 0;
      far.receive((record) => void (receivedBytes += record.length));
      for (let i = 0; i < 20; i++) await near.send(new Uint8Array(100_000), i % 5 === 0);
      await near.close("done");
      await far.closed;
      assert.equal(receivedBytes, 2_000_000);
    }, kind));

  Deno.test(`${kind}: both sides may dial at once: both bundles are usable`, () =>
    withPair(async ({ a, b }) => {
      const acceptedByA = Promise.withResolvers<Carrier>();
      const acceptedByB = Promise.withResolvers<Carrier>();
      a.onAccept(acceptedByA.resolve);
      b.onAccept(acceptedByB.resolve);
      const [fromA, fromB] = await Promise.all([
        a.dial("b", never(), kind),
        b.dial("a", never(), kind),
      ]);
      for (
        const [near, far] of [
          [fromA, await acceptedByB.promise],
          [fromB, await acceptedByA.promise],
        ]
      ) {
        const { promise, resolve } = Promise.withResolvers<Uint8Array>();
        far.receive(resolve);
        await near.send(new Uint8Array([1, 2, 3]), false);
        assert.deepEqual(await promise, new Uint8Array([1, 2, 3]));
      }
    }, kind));

  Deno.test(`${kind}: a slow receiver makes the sender wait`, () =>
    withPair(async ({ dial }) => {
      const [near, far] = await dial();
      const { promise: first, resolve: onFirst } = Promise.withResolvers<void>();
      const { promise: go, resolve: release } = Promise.withResolvers<void>();
      let receivedRecords = 0;
      far.receive((_record) => {
        receivedRecords++;
        onFirst();
        return go;
      });
      const recordCount = 3 * BUNDLE_WINDOW_BYTES / RECORD_BYTES_MAX;
      let sentRecords = 0;
      const sendAll = (async () => {
        for (; sentRecords < recordCount; sentRecords++) {
          await near.send(new Uint8Array(RECORD_BYTES_MAX), false);
        }
      })();
      await first;
      // The window fills and stays full: nothing moves any more.
      for (let before = -1; before !== sentRecords || before === 0;) {
        before = sentRecords;
        await clock.sleep(300);
      }
      assert.ok(sentRecords * RECORD_BYTES_MAX <= BUNDLE_WINDOW_BYTES + RECORD_BYTES_MAX);
      assert.ok(receivedRecords <= 4, "one record for each lane's handler");
      release();
      await sendAll;
    }, kind));

  Deno.test(`${kind}: an unknown site is refused with the reason on both sides, and audited`, () =>
    withSites(async (sites) => {
      const audited: Audited[] = [];
      const auditedAtC: Audited[] = [];
      const a = await open(sites.a, audited);
      const c = await open(sites.c, auditedAtC);
      const refusals: string[] = [];
      a.onRefusal(({ code }) => refusals.push(code));
      await trust(sites.c, "a", sites.a, a.address);
      await assert.rejects(
        c.dial("a", never(), kind),
        failsWith("peer_not_trusted", "it refused", sites.c.fingerprint),
      );
      await a.close();
      await c.close();
      assert.ok(refusals.includes("peer_not_trusted"));
      assert.equal(audited[0].kind, "link.refused");
      assert.match(String(audited[0].body.message), /site c .*does not trust it/);
      assert.match(String(audited[0].body.remote), /^127\.0\.0\.1:\d+$/);
      assert.match(String(auditedAtC[0].body.message), /it refused/);
    }));

  Deno.test(`${kind}: a peer that is trusted while the gateway runs is accepted at its next dial`, () =>
    withSites(async (sites) => {
      const a = await open(sites.a);
      const c = await open(sites.c);
      await trust(sites.c, "a", sites.a, a.address);
      await assert.rejects(c.dial("a", never(), kind), failsWith("peer_not_trusted"));
      await trust(sites.a, "c", sites.c);
      const carrier = await c.dial("a", never(), kind);
      assert.equal(carrier.peerName, "a");
      await assert.rejects(a.dial("c", never(), kind), failsWith("peer_unreachable", "no address"));
      await assert.rejects(a.dial("x", never(), kind), failsWith("peer_unknown", "x"));
      await a.close();
      await c.close();
    }));

  Deno.test(`${kind}: another site at the peer's address is refused by TLS, and both sides hear of it`, () =>
    withSites(async (sites) => {
      const audited: Audited[] = [];
      const a = await open(sites.a);
      const c = await open(sites.c, audited);
      await trust(sites.a, "b", sites.b, c.address);
      await trust(sites.c, "a", sites.a);
      await assert.rejects(
        a.dial("b", never(), kind),
        failsWith("peer_not_trusted", sites.b.fingerprint),
      );
      await until(() => audited.length > 0);
      await a.close();
      await c.close();
      assert.match(String(audited[0].body.message), /TLS failed: .*(certificate|UnknownCA)/);
    }));

  Deno.test(`${kind}: another protocol version is refused with both versions named, on both sides`, () =>
    withSites(async (sites) => {
      const audited: Audited[] = [];
      const a = await open(sites.a, audited);
      const b = await open(sites.b, [], { protocolVersion: 2 });
      await trust(sites.b, "a", sites.a, a.address);
      await trust(sites.a, "b", sites.b, b.address);
      await assert.rejects(
        b.dial("a", never(), kind),
        failsWith("protocol_mismatch", "version 2", "version 1"),
      );
      await a.close();
      await b.close();
      assert.equal(audited[0].body.code, "protocol_mismatch");
    }));

  Deno.test(`${kind}: dial() can be given up, and gives up by itself where nobody answers`, () =>
    withSites(async (sites) => {
      const a = await open(sites.a);
      const silent = listenSilently(kind);
      await trust(sites.a, "b", sites.b, `127.0.0.1:${silent.port}`);
      const abort = new AbortController();
      const dialled = a.dial("b", abort.signal, kind);
      await silent.contacted;
      abort.abort(new Error("no longer wanted"));
      await assert.rejects(dialled, /no longer wanted/);
      silent.close();
      await a.close();
    }));
}

/** A port that takes contacts and never answers. */
function listenSilently(kind: CarrierKind) {
  const address = { hostname: "127.0.0.1", port: 0 };
  if (kind === "quic") {
    const socket = Deno.listenDatagram({ ...address, transport: "udp" });
    const { port } = socket.addr as Deno.NetAddr;
    return { port, contacted: socket.receive(), close: () => socket.close() };
  }
  const listener = Deno.listen(address);
  const conns: Deno.Conn[] = [];
  const contacted = (async () => void conns.push(await listener.accept()))();
  return {
    port: listener.addr.port,
    contacted,
    close() {
      listener.close();
      for (const conn of conns) conn.close();
    },
  };
}
