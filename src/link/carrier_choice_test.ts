import assert from "node:assert/strict";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { migrationIdText } from "../wire/migration_id.ts";
import { HEALTHY_SURPLUS_MS } from "../wire/limits.ts";
import type { Carrier, CarrierKind } from "./carrier.ts";
import { CarrierChoice, type CarrierInUse, type CarrierMode } from "./carrier_choice.ts";
import { GRACE_MS, HEAD_START_MS } from "./carrier_race.ts";
import { type MemoryCarrierPair, memoryCarrierPair } from "./memory_carrier.ts";
import { createSessionLink, type SessionLink } from "./session_link.ts";

const ID = migrationIdText(new Uint8Array(16).fill(0xc3));
const UDP_RETRY_MS = 20_000;

/** A site that chooses, its peer, and a network that lets UDP, TCP, both or nothing pass. */
class ChoiceWorld {
  readonly clock = new VirtualClock();
  readonly choice: CarrierChoice;
  readonly source: SessionLink;
  readonly destination: SessionLink;
  readonly changes: CarrierInUse[] = [];
  readonly dialled: CarrierKind[] = [];
  readonly got: number[] = [];
  payloadBytes = 10_000;
  /** CPU of the source so far, and what it takes each second over QUIC and over TLS. */
  cpuShare: Record<CarrierKind, number> = { quic: 0.1, tls: 0.1 };
  bytesPerSecond: Record<CarrierKind, number> = { quic: 1e5, tls: 1e5 };
  /** UDP lets handshakes pass and nothing after them. */
  udpOnlyHandshakes = false;
  readonly #passes: Record<CarrierKind, boolean> = { quic: true, tls: true };
  readonly #pairs: { kind: CarrierKind; pair: MemoryCarrierPair }[] = [];
  #sent = 0;
  #cpuMs = 0;
  #cpuAtMs = 0;

  constructor(
    mode: CarrierMode = "auto",
    passes: Partial<Record<CarrierKind, boolean>> = {},
    private readonly congestionControl: string | null = null,
  ) {
    Object.assign(this.#passes, passes);
    this.choice = new CarrierChoice({
      peerName: "destination",
      clock: this.clock,
      mode,
      udpRetryMs: UDP_RETRY_MS,
      dial: (kind, signal) => this.#dial(kind, signal),
      cpuMs: () => this.#cpu(),
      expectedControl: congestionControl,
      onChange: (change) => this.changes.push(change),
    });
    const { clock } = this;
    this.destination = createSessionLink({
      peerName: "source",
      clock,
      dial: null,
      incarnation: "d1",
    });
    this.destination.onNewMigration((id) => {
      this.destination.channel(id, "memory").receive(({ sequence }) => {
        this.got.push(sequence);
        return Promise.resolve();
      });
    });
    this.source = createSessionLink({
      peerName: "destination",
      clock,
      dial: (signal) => this.choice.dial(signal),
      incarnation: "s1",
    });
    this.choice.watch(this.source);
  }

  /** What passes from now on; connections of a kind that does not go silent and lose nothing. */
  let(kind: CarrierKind, passes: boolean): void {
    this.#passes[kind] = passes;
    for (const each of this.#pairs) if (each.kind === kind) each.pair.stall(!passes);
  }

  /** Keeps the link busy with numbered frames until `until`. */
  async sendAllTheTime(until: { reached: boolean }): Promise<void> {
    const channel = this.source.channel(ID, "memory");
    const payload = new Uint8Array(this.payloadBytes);
    while (!until.reached) this.#sent = await channel.send(16, payload);
    await channel.whenAppliedByPeer(channel.lastSent);
  }

  /** Lets this much time pass while frames are sent, and checks that none is lost or twice. */
  async busy(ms: number): Promise<void> {
    const until = { reached: false };
    const sending = this.sendAllTheTime(until);
    await this.clock.advance(ms);
    until.reached = true;
    await this.clock.until(sending);
    assert.deepEqual(this.got, Array.from({ length: this.#sent }, (_, i) => i + 1));
  }

  get kind(): string | undefined {
    return this.choice.inUse?.kind;
  }

  get reason(): string | undefined {
    return this.choice.inUse?.reason;
  }

  /** What the destination sends over. */
  get kindAtPeer(): string | undefined {
    return this.destination.inUse()?.carrier.kind;
  }

  async close(): Promise<void> {
    this.choice.close();
    await Promise.all([this.source.close(), this.destination.close()]);
    await this.clock.advance(20_000);
  }

  async #dial(kind: CarrierKind, signal: AbortSignal): Promise<Carrier> {
    const { clock } = this;
    this.dialled.push(kind);
    while (!this.#passes[kind]) await clock.sleep(100, signal);
    await clock.sleep(40, signal);
    const pair = memoryCarrierPair(
      {
        clock,
        random: () => 0.5,
        delayMs: 10,
        jitterMs: 0,
        bytesPerSecond: this.bytesPerSecond[kind],
        kind,
      },
      { peerName: "destination", peerIncarnation: "d1" },
      { peerName: "source", peerIncarnation: "s1" },
    );
    this.#pairs.push({ kind, pair });
    const { congestionControl } = this;
    if (kind === "tls") {
      for (const end of [pair.a, pair.b]) Object.assign(end, { congestionControl });
    }
    if (kind === "quic" && this.udpOnlyHandshakes) pair.stall(true);
    void clock.sleep(10).then(() => this.destination.attach(pair.b));
    return pair.a;
  }

  #cpu(): number {
    const nowMs = this.clock.nowMs();
    const kind = this.source?.inUse()?.carrier.kind;
    const share = kind === "quic" || kind === "tls" ? this.cpuShare[kind] : 0;
    this.#cpuMs += share * (nowMs - this.#cpuAtMs);
    this.#cpuAtMs = nowMs;
    return this.#cpuMs;
  }
}

Deno.test("where UDP passes the link goes over QUIC, and TCP is left alone", async () => {
  const world = new ChoiceWorld();
  await world.busy(120_000);
  assert.deepEqual([world.kind, world.kindAtPeer, world.reason], ["quic", "quic", "UDP passes"]);
  assert.deepEqual(world.dialled, ["quic"]);
  assert.equal(world.changes.length, 1);
  await world.close();
});

Deno.test("where UDP does not pass the link goes over TLS within some seconds, and says why", async () => {
  const world = new ChoiceWorld("auto", { quic: false });
  await world.clock.advance(HEAD_START_MS + GRACE_MS + 500);
  assert.deepEqual([world.kind, world.kindAtPeer], ["tls", "tls"]);
  assert.equal(world.reason, "UDP gave no answer where TCP did");
  await world.close();
});

Deno.test("UDP is tried again and again, and the frames go on over it when it passes", async () => {
  const world = new ChoiceWorld("auto", { quic: false });
  await world.busy(4 * UDP_RETRY_MS + 5_000);
  assert.equal(world.kind, "tls");
  const tries = world.dialled.filter((kind) => kind === "quic").length;
  assert.ok(tries >= 4 && tries <= 4 + 4, `${tries} tries, of which up to 4 at the start`);
  world.let("quic", true);
  await world.busy(UDP_RETRY_MS + 1_000);
  assert.deepEqual([world.kind, world.kindAtPeer], ["quic", "quic"]);
  assert.equal(world.reason, "UDP passes again");
  const { dialled } = world;
  const before = dialled.length;
  await world.busy(HEALTHY_SURPLUS_MS + 10 * UDP_RETRY_MS);
  assert.equal(world.kind, "quic");
  assert.equal(dialled.length, before, "nothing is dialled any more");
  await world.close();
});

Deno.test("UDP that is blocked in the middle costs some seconds and no frame", async () => {
  const world = new ChoiceWorld();
  await world.busy(10_000);
  world.let("quic", false);
  await world.busy(10_000);
  assert.deepEqual([world.kind, world.kindAtPeer], ["tls", "tls"]);
  assert.match(world.reason!, /UDP gave no answer/);
  world.let("quic", true);
  await world.busy(UDP_RETRY_MS + 2_000);
  assert.deepEqual([world.kind, world.kindAtPeer], ["quic", "quic"]);
  assert.deepEqual(world.changes.map(({ kind }) => kind), ["quic", "tls", "quic"]);
  await world.close();
});

Deno.test("after an outage of everything a link that went over QUIC does so again", async () => {
  const world = new ChoiceWorld();
  await world.busy(5_000);
  for (const kind of ["quic", "tls"] as const) world.let(kind, false);
  await world.clock.advance(30_000);
  for (const kind of ["quic", "tls"] as const) world.let(kind, true);
  await world.busy(5_000);
  assert.equal(world.kind, "quic");
  assert.ok(world.changes.every(({ kind }) => kind === "quic"));
  await world.close();
});

Deno.test("UDP that lets handshakes pass and nothing else is tried less and less often", async () => {
  const world = new ChoiceWorld("auto", { quic: false });
  await world.busy(5_000);
  world.udpOnlyHandshakes = true;
  world.let("quic", true);
  const triesIn = async (ms: number) => {
    const before = world.dialled.filter((kind) => kind === "quic").length;
    await world.busy(ms);
    return world.dialled.filter((kind) => kind === "quic").length - before;
  };
  const first = await triesIn(10 * UDP_RETRY_MS);
  const second = await triesIn(10 * UDP_RETRY_MS);
  assert.equal(world.kind, "tls");
  assert.equal(world.reason, "UDP stopped passing");
  assert.ok(first >= 2 && first <= 4, `${first}`);
  assert.ok(second <= 1, `${second}`);
  await world.close();
});

Deno.test("a carrier that measures better is kept, and one that does not is left again", async () => {
  const [world, vain] = [new ChoiceWorld(), new ChoiceWorld()];
  world.payloadBytes = vain.payloadBytes = 1_000_000;
  world.cpuShare = { quic: 1, tls: 0.4 };
  world.bytesPerSecond = { quic: 21e6, tls: 63e6 };
  await world.busy(60_000);
  assert.deepEqual([world.kind, world.kindAtPeer], ["tls", "tls"]);
  assert.match(
    world.reason!,
    /it measured better: 6\d\.\d+ MB\/s against 2\d\.\d+ MB\/s/,
  );
  assert.equal(world.dialled.filter((kind) => kind === "quic").length, 1, "UDP is not retried");
  await world.close();

  vain.cpuShare = { quic: 1, tls: 1 };
  vain.bytesPerSecond = { quic: 21e6, tls: 21e6 };
  await vain.busy(25_000);
  assert.equal(vain.kind, "quic");
  assert.deepEqual(vain.changes.map(({ kind }) => kind), ["quic", "tls", "quic"]);
  assert.match(vain.reason!, /did not measure better/);
  await vain.close();
});

Deno.test("over a short path the frames go on over TCP with BBR, and over UDP where TCP ends", async () => {
  const world = new ChoiceWorld("auto", {}, "bbr");
  await world.busy(10_000);
  assert.deepEqual([world.kind, world.kindAtPeer], ["tls", "tls"]);
  assert.match(world.reason!, /TCP has BBR here, and the path is short: a round trip of 2\d ms/);
  world.let("tls", false);
  await world.busy(10_000);
  assert.deepEqual([world.kind, world.kindAtPeer], ["quic", "quic"]);
  assert.match(world.reason!, /TCP gave no answer where UDP did/);
  await world.close();
});

Deno.test("a configured carrier is the only one that is dialled", async () => {
  for (const mode of ["quic", "tls"] as const) {
    const world = new ChoiceWorld(mode);
    await world.busy(10_000);
    assert.equal(world.kind, mode);
    assert.equal(world.reason, "the configuration says so");
    assert.deepEqual(world.dialled, [mode]);
    await world.close();
  }
  const world = new ChoiceWorld("quic", { quic: false });
  await world.clock.advance(60_000);
  assert.equal(world.choice.inUse, null);
  assert.ok(world.dialled.every((kind) => kind === "quic"));
  await world.close();
});

Deno.test("a connection that the peer dialled is the peer's to decide about", async () => {
  const world = new ChoiceWorld("auto", { quic: false, tls: false });
  const { clock } = world;
  const pair = memoryCarrierPair(
    { clock, random: () => 0.5, delayMs: 10, jitterMs: 0, bytesPerSecond: 1e6, kind: "tls" },
    { peerName: "destination", peerIncarnation: "d1" },
    { peerName: "source", peerIncarnation: "s1" },
  );
  world.source.attach(pair.a);
  world.destination.attach(pair.b, true);
  await clock.advance(1_000);
  const before = world.dialled.length;
  await world.busy(3 * UDP_RETRY_MS);
  assert.deepEqual([world.kind, world.reason], ["tls", "the peer dialled it"]);
  assert.equal(world.dialled.length, before);
  await world.close();
});
