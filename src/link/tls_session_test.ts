import assert from "node:assert/strict";
import { parseHostPort } from "../config/address.ts";
import { clock, open, trust, withSites } from "../testing/quic_support.ts";
import { migrationIdText } from "../wire/migration_id.ts";
import { createSessionLink, type SessionLink } from "./session_link.ts";

const ID = migrationIdText(new Uint8Array(16).fill(0xd4));

/** Passes bytes on, and breaks one connection each time that so many have gone to the target. */
class BreakingProxy {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #breakAtBytes: number[];
  readonly #open = new Set<Deno.Conn>();
  #passedBytes = 0;
  breaks = 0;

  constructor(private readonly target: string, ...breakAtBytes: number[]) {
    this.#breakAtBytes = breakAtBytes;
    void this.#run();
  }

  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  close(): void {
    this.#listener.close();
    for (const conn of this.#open) this.#end(conn);
  }

  async #run(): Promise<void> {
    try {
      for await (const outside of this.#listener) {
        const { hostname, port } = parseHostPort(this.target)!;
        const inside = await Deno.connect({ hostname, port });
        this.#open.add(outside).add(inside);
        void this.#pass(outside, inside, true);
        void this.#pass(inside, outside, false);
      }
    } catch {
      // closed
    }
  }

  async #pass(from: Deno.Conn, to: Deno.Conn, isForward: boolean): Promise<void> {
    const buffer = new Uint8Array(10_000);
    for (;;) {
      const got = await from.read(buffer).catch(() => null);
      if (got === null) break;
      if (isForward) this.#passedBytes += got;
      const isBroken = isForward && this.#passedBytes >= (this.#breakAtBytes[0] ?? Infinity);
      // What breaks off is the middle of a chunk: half of what was read still passes.
      const bytes = buffer.subarray(0, isBroken ? got >> 1 : got);
      for (let at = 0; at < bytes.length;) {
        const written = await to.write(bytes.subarray(at)).catch(() => null);
        if (written === null) break;
        at += written;
      }
      if (!isBroken) continue;
      this.#breakAtBytes.shift();
      this.breaks++;
      break;
    }
    this.#end(from);
    this.#end(to);
  }

  #end(conn: Deno.Conn): void {
    if (!this.#open.delete(conn)) return;
    conn.close();
  }
}

Deno.test("a TLS connection that breaks in the middle of a record loses no frame and doubles none", () =>
  withSites(async (sites) => {
    const a = await open(sites.a);
    const b = await open(sites.b);
    const proxy = new BreakingProxy(b.address, 1_300_000, 2_900_000, 5_100_000);
    await trust(sites.a, "b", sites.b, proxy.address);
    await trust(sites.b, "a", sites.a);
    const far: SessionLink = createSessionLink({
      peerName: "a",
      clock,
      dial: null,
      incarnation: "far",
    });
    b.onAccept((carrier) => far.attach(carrier));
    const got: string[] = [];
    far.onNewMigration((id) => {
      for (const kind of ["control", "memory"] as const) {
        far.channel(id, kind).receive(({ sequence, payload }) => {
          assert.ok(payload.every((byte) => byte === sequence % 251));
          got.push(`${kind} ${sequence}`);
          return Promise.resolve();
        });
      }
    });
    const near = createSessionLink({
      peerName: "b",
      clock,
      dial: (signal) => a.dial("b", signal, "tls"),
      incarnation: "near",
    });
    const ups: string[] = [];
    near.onEvent(({ kind }) => kind === "up" && ups.push(kind));
    const [memory, control] = [near.channel(ID, "memory"), near.channel(ID, "control")];
    const FRAMES = 40;
    for (let i = 1; i <= FRAMES; i++) {
      await memory.send(16, new Uint8Array(200_000).fill(i % 251));
      if (i % 4 === 0) await control.send(1, new Uint8Array(100).fill(i / 4 % 251));
    }
    await Promise.all([memory.whenAppliedByPeer(FRAMES), control.whenAppliedByPeer(FRAMES / 4)]);
    // A connection that is made anew on a busy computer may meet the same place once more.
    assert.ok(proxy.breaks >= 3, `${proxy.breaks} breaks`);
    assert.ok(ups.length >= 2, `${ups.length} connections`);
    const of = (kind: string) => got.filter((each) => each.startsWith(kind));
    assert.deepEqual(of("memory"), Array.from({ length: FRAMES }, (_, i) => `memory ${i + 1}`));
    assert.deepEqual(
      of("control"),
      Array.from({ length: FRAMES / 4 }, (_, i) => `control ${i + 1}`),
    );
    await Promise.all([near.close(), far.close()]);
    proxy.close();
    await Promise.all([a.close(), b.close()]);
  }));

Deno.test("frames go on in order while a link changes from QUIC to TLS and back", () =>
  withSites(async (sites) => {
    const a = await open(sites.a);
    const b = await open(sites.b);
    await trust(sites.a, "b", sites.b, b.address);
    await trust(sites.b, "a", sites.a);
    const far = createSessionLink({ peerName: "a", clock, dial: null, incarnation: "far" });
    b.onAccept((carrier) => far.attach(carrier));
    const got: number[] = [];
    far.onNewMigration((id) =>
      far.channel(id, "memory").receive(({ sequence }) => {
        got.push(sequence);
        return Promise.resolve();
      })
    );
    const near = createSessionLink({
      peerName: "b",
      clock,
      dial: (signal) => a.dial("b", signal, "quic"),
      incarnation: "near",
    });
    const memory = near.channel(ID, "memory");
    const kinds = new Set<string>();
    const send = async (frames: number) => {
      for (let i = 0; i < frames; i++) {
        await memory.send(16, new Uint8Array(50_000));
        kinds.add(`${near.inUse()?.carrier.kind} ${far.inUse()?.carrier.kind}`);
      }
      await memory.whenAppliedByPeer(memory.lastSent);
    };
    await send(20);
    for (const kind of ["tls", "quic"] as const) {
      near.attach(await a.dial("b", new AbortController().signal, kind), true);
      while (near.inUse()?.carrier.kind !== kind || far.inUse()?.carrier.kind !== kind) {
        await send(5);
      }
      await send(20);
    }
    for (const both of ["quic quic", "tls tls"]) assert.ok(kinds.has(both), [...kinds].join());
    assert.deepEqual(got, Array.from({ length: memory.lastSent }, (_, i) => i + 1));
    // The connections that were left are alive until they are closed as superfluous: nothing of the
    // first one had to be sent again.
    const wireBytes = memory.lastSent * (50_000 + 48);
    assert.ok(memory.wireBytes < wireBytes * 1.01, `${memory.wireBytes} of ${wireBytes}`);
    await Promise.all([near.close(), far.close()]);
    await Promise.all([a.close(), b.close()]);
  }));
