import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { VirtualClock } from "../testing/virtual_clock.ts";
import type { Carrier, CarrierKind } from "./carrier.ts";
import { CarrierRace, GRACE_MS, HEAD_START_MS } from "./carrier_race.ts";

/** How a kind answers: after so long, never, or with an error. */
type Answer = number | "never" | GatewayError;

class FakeCarrier {
  closedWith: string | null = null;
  readonly gone = Promise.withResolvers<{ reason: string }>();
  readonly closed = this.gone.promise;
  constructor(readonly kind: CarrierKind) {}
  close(reason: string): Promise<void> {
    this.closedWith ??= reason;
    return Promise.resolve();
  }
}

function raceOf(answers: Record<CarrierKind, Answer>) {
  const clock = new VirtualClock();
  const made: FakeCarrier[] = [];
  const dialled: [CarrierKind, number][] = [];
  const race = new CarrierRace(clock, async (kind, signal) => {
    dialled.push([kind, Math.round(clock.nowMs())]);
    const answer = answers[kind];
    if (answer instanceof GatewayError) throw answer;
    await clock.sleep(answer === "never" ? 3_600_000 : answer, signal);
    const carrier = new FakeCarrier(kind);
    made.push(carrier);
    return carrier as unknown as Carrier;
  });
  const run = (wanted: CarrierKind = "quic", signal = new AbortController().signal) =>
    race.run(wanted, signal);
  return { clock, made, dialled, run, answers };
}

function error(code: "peer_unreachable" | "peer_not_trusted" | "handshake_failed") {
  return new GatewayError(code, `Cannot connect: ${code}`, { hint: "-" });
}

const hasCode = (code: string) => (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === code;

Deno.test("where the wanted kind answers in time the other one is not dialled at all", async () => {
  const { clock, dialled, run } = raceOf({ quic: 150, tls: 1 });
  const { kind } = await clock.until(run());
  assert.equal(kind, "quic");
  await clock.advance(60_000);
  assert.deepEqual(dialled, [["quic", 0]]);
});

Deno.test("a wanted kind that never answers gives way when the other one has shown the path", async () => {
  const { clock, run, made } = raceOf({ quic: "never", tls: 300 });
  const { kind } = await clock.until(run());
  assert.equal(kind, "tls");
  assert.equal(Math.round(clock.nowMs()), HEAD_START_MS + 300 + GRACE_MS);
  assert.equal(made[0].closedWith, null);
});

Deno.test("a wanted kind that answers late is taken, and the other connection is closed", async () => {
  const { clock, run, made } = raceOf({ quic: 2_500, tls: 20 });
  const { kind } = await clock.until(run());
  assert.equal(kind, "quic");
  await clock.advance(0);
  const tls = made.find((carrier) => carrier.kind === "tls")!;
  assert.equal(tls.closedWith, "another connection was ready first");
});

Deno.test("attempts share what they have found out: a slow path needs no attempt that outlives it", async () => {
  // As the redialer does it: one more attempt each second, the oldest of five given up.
  const { clock, run } = raceOf({ quic: "never", tls: 2_400 });
  const attempts: AbortController[] = [];
  const won: CarrierKind[] = [];
  for (let second = 0; second < 8 && won.length === 0; second++) {
    const attempt = new AbortController();
    attempts.push(attempt);
    if (attempts.length > 4) attempts.shift()!.abort(new Error("given up"));
    run("quic", attempt.signal).then(({ kind }) => won.push(kind), () => {});
    await clock.advance(1_000);
  }
  assert.deepEqual(won, ["tls"]);
  assert.ok(clock.nowMs() <= 6_000, `${clock.nowMs()}`);
});

Deno.test("a wanted kind that nobody answers with an error does not wait for its head start", async () => {
  const { clock, run } = raceOf({ quic: error("peer_unreachable"), tls: 30 });
  const { kind } = await clock.until(run());
  assert.equal(kind, "tls");
  assert.equal(Math.round(clock.nowMs()), 30);
});

Deno.test("a refusal ends the attempt, but not one of a site that takes the other kind only", async () => {
  const refusing = raceOf({ quic: error("peer_not_trusted"), tls: 1 });
  await assert.rejects(refusing.clock.until(refusing.run()), hasCode("peer_not_trusted"));

  const quicOnly = raceOf({ quic: 2_000, tls: error("handshake_failed") });
  assert.equal((await quicOnly.clock.until(quicOnly.run())).kind, "quic");

  const tlsRefuses = raceOf({ quic: "never", tls: error("peer_not_trusted") });
  await assert.rejects(tlsRefuses.clock.until(tlsRefuses.run()), hasCode("peer_not_trusted"));
});

Deno.test("where neither is answered the refusal is told rather than the silence", async () => {
  const { clock, run } = raceOf({
    quic: error("peer_unreachable"),
    tls: error("handshake_failed"),
  });
  await assert.rejects(clock.until(run()), hasCode("handshake_failed"));
  const silent = raceOf({ quic: error("peer_unreachable"), tls: error("peer_unreachable") });
  await assert.rejects(silent.clock.until(silent.run()), hasCode("peer_unreachable"));
});

Deno.test("an attempt that is given up leaves no connection", async () => {
  const { clock, run, made } = raceOf({ quic: "never", tls: 10 });
  const attempt = new AbortController();
  const raced = run("quic", attempt.signal);
  await clock.advance(HEAD_START_MS + 500);
  assert.equal(made.length, 1);
  attempt.abort(new Error("no longer needed"));
  await assert.rejects(raced, /no longer needed/);
  await clock.advance(GRACE_MS);
  assert.notEqual(made[0].closedWith, null);
});

Deno.test("a connection that dies while it waits for its turn is not handed out", async () => {
  const { clock, run, made } = raceOf({ quic: 2_800, tls: 10 });
  const raced = run();
  await clock.advance(HEAD_START_MS + 100);
  made[0].gone.resolve({ reason: "reset" });
  assert.equal((await clock.until(raced)).kind, "quic");
});
