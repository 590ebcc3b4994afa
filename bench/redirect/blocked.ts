/** UDP is blocked between the sites while a tunnel carries packets: what its clients see of it. */
import type { PeerView } from "../../src/gateway/service.ts";
import { ENDED_STATES } from "../../src/migration/report.ts";
import { startEchoProbe } from "../../src/testing/echo_probe/probe.ts";
import { longestSilences } from "../../src/testing/echo_probe/silence.ts";
import { MACHINE, RedirectWorld } from "../../src/testing/redirect_world.ts";

export interface Blocked {
  /** From the block until both sites say that their link goes over TLS. */
  readonly changedMs: number;
  /** The longest time without an answer. */
  readonly silentMs: number;
  /** Of echoes over TLS. */
  readonly asked: number;
  readonly unanswered: number;
  readonly p50Ms: number;
  /** That the old site's gateway could not hand over. */
  readonly droppedPackets: number | null;
}

const MOVE_MS_MAX = 90_000;
const CHANGED_MS_MAX = 60_000;
const ECHO_MS = 10;
const OVER_TLS_MS = 4_000;
const RULES = `table inet cw_block {
  chain out {
    type filter hook output priority 0;
    oifname "wan0" meta l4proto udp drop
  }
}`;

export async function blocked(profile: string): Promise<Blocked> {
  await using world = await RedirectWorld.start(profile, "tunnel", {
    // However short the path is, it goes over UDP until that is blocked.
    limits: { shortRoundTripMs: 0 },
  });
  const host = await world.stand({ idleMs: 60_000, limitMs: null });
  await world.place(host, "a");
  const { api } = world.site("a");
  const id = await world.move("a");
  await api.until(id, ({ state }) => ENDED_STATES.includes(state), MOVE_MS_MAX);
  await world.place(host, "b");
  await world.answers();
  await using probe = startEchoProbe(world.client, MACHINE.ipv4, ECHO_MS);
  await pause(1_000);
  for (const site of ["a", "b"] as const) await world.site(site).namespace.run("nft", RULES);
  const blockedMs = performance.now();
  while (!await isOverTls(world)) {
    if (performance.now() - blockedMs > CHANGED_MS_MAX) throw new Error("still not over TLS");
    await pause(50);
  }
  const changedMs = Math.round(performance.now() - blockedMs);
  const changedWallMs = Date.now();
  await pause(OVER_TLS_MS);
  const record = await probe.finish();
  const sinceMs = changedWallMs + 1_000 - record.startedWallMs;
  const untilMs = record.sentAtMs.at(-1)! - 1_000;
  const times = record.sentAtMs.flatMap((sentMs, n) => {
    const answeredMs = record.answeredAtMs[n];
    if (sentMs < sinceMs || sentMs > untilMs) return [];
    return [answeredMs === null ? Infinity : answeredMs - sentMs];
  }).sort((x, y) => x - y);
  const row: Blocked = {
    changedMs,
    silentMs: Math.round(longestSilences(record, 1)[0].silentMs),
    asked: times.length,
    unanswered: times.filter((ms) => ms === Infinity).length,
    p50Ms: Math.round(times[Math.floor(times.length / 2)] * 10) / 10,
    droppedPackets: (await world.redirect("a", id))?.kept?.droppedPackets ?? null,
  };
  console.log(
    `${profile}, UDP blocked: over TLS after ${row.changedMs} ms, longest silence ${row.silentMs} ` +
      `ms; over TLS ${row.unanswered} of ${row.asked} echoes unanswered, p50 ${row.p50Ms} ms; ` +
      `dropped ${row.droppedPackets}`,
  );
  return row;
}

async function isOverTls(world: RedirectWorld): Promise<boolean> {
  const views = await Promise.all(
    (["a", "b"] as const).map(async (site) =>
      (await world.site(site).api.call<PeerView[]>("GET", "/peers"))[0]
    ),
  );
  return views.every(({ carrier }) => carrier?.kind === "tls");
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
