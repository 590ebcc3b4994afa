import type { WanProfile } from "../../src/emulator/settings.ts";
import { KillableSites } from "../../tests/e2e/support/killable_sites.ts";

/** One move of a machine, with the link gone in the middle. */
export interface OutageMove {
  readonly outageMs: number;
  readonly state: string;
  readonly verified: boolean;
  readonly totalMs: number;
  readonly downtimeMs: number | null;
  readonly wireBytes: number;
  /** Payload that left either gateway another time, of both directions. */
  readonly resentBytes: number;
  /** Whether what was reported as done ever became less. */
  readonly progressFell: boolean;
}

/** Where the outage begins: the disk has been copied, memory is under way. */
const CUT_AT_BYTES = 6_000_000;
const REST_MS = 300_000;

/** @param outageMs 0 for a move without one */
export async function outageMove(profile: WanProfile, outageMs: number): Promise<OutageMove> {
  await using sites = await KillableSites.start({ profile });
  const destination = await sites.incoming();
  const api = await sites.a.api();
  const id = await sites.move({ maxDowntimeMs: 2_000 });
  let [cut, progress, progressFell] = [false, 0, false];
  const timeLimitMs = outageMs + REST_MS;
  const report = await sites.until("a", id, (seen) => {
    progressFell ||= seen.progress < progress;
    progress = seen.progress;
    if (!cut && outageMs > 0 && seen.wireBytes.total >= CUT_AT_BYTES) {
      cut = true;
      sites.relay!.outage(outageMs);
    }
    return ["completed", "failed", "cancelled"].includes(seen.state);
  }, timeLimitMs);
  if (outageMs > 0 && !cut) throw new Error("The move was over before the link was cut");
  const resent = await Promise.all(
    (["a", "b"] as const).map(async (site) =>
      (await (await sites[site].api()).call<{ resentBytes: number }[]>("GET", "/peers"))[0]
        .resentBytes
    ),
  );
  const at = report.state === "completed" ? destination : sites.machine;
  const verified = await at.assertVerifies().then(() => true, () => false);
  // The end's own figure: `until` looks only a few times a second.
  const { totalMs, downtimeMs, wireBytes } = await api.migration(id);
  return {
    outageMs,
    state: report.state,
    verified,
    totalMs: totalMs ?? 0,
    downtimeMs,
    wireBytes: wireBytes.total,
    resentBytes: resent[0] + resent[1],
    progressFell,
  };
}
