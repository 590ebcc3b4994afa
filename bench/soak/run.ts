import { Random } from "../../src/core/random.ts";
import type { MigrationReport } from "../../src/migration/report.ts";
import type { SiteApi } from "../../src/testing/site_process.ts";
import { GUEST_ID, soakMachine } from "./machine.ts";
import { type SiteName, SoakSites, type Usage } from "./sites.ts";

export interface SoakOptions {
  readonly minutes: number;
  readonly guest: "reference" | "qemu";
  readonly seed: number;
  readonly profile: string;
  /** Gateways are killed now and then, too. */
  readonly kills: boolean;
  readonly onMove?: (text: string) => void;
}

/** What a gateway used after a move had ended, when nothing was going on. */
export interface Sample extends Usage {
  readonly site: SiteName;
  readonly seconds: number;
}

export interface SoakResult {
  readonly seconds: number;
  /** Moves by their ends. */
  readonly ends: Readonly<Record<string, number>>;
  readonly verified: number;
  readonly outages: number;
  readonly outageSeconds: number;
  readonly kills: number;
  readonly downtimesMs: readonly number[];
  readonly resentBytes: number;
  readonly wireBytes: number;
  readonly samples: readonly Sample[];
}

const POLL_MS = 100;
/** Far beyond a move of these machines with its outages, on a busy computer too. */
const MOVE_MS_MAX = 240_000;
const ENDED = ["completed", "failed", "cancelled", "rolledBack"];
const OUTAGE_RATIO = 0.5;
const KILL_RATIO = 0.25;

/**
 * Moves a machine back and forth until the time is over; each arrival, and each machine that stayed,
 * is checked by the machine itself.
 *
 * @throws {Error} when a machine is damaged, runs nowhere, or a move does not end
 */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const random = new Random(options.seed, "soak");
  await using sites = await SoakSites.start(options.profile, options.seed);
  using machine = await soakMachine(options.guest, sites.directory, options.seed);
  const startMs = performance.now();
  const elapsed = () => (performance.now() - startMs) / 1000;
  const ends: Record<string, number> = {};
  const samples: Sample[] = [];
  const downtimesMs: number[] = [];
  let [verified, outages, outageSeconds, kills, resentBytes, wireBytes] = [0, 0, 0, 0, 0, 0];

  /** A request that a gateway's death in between only delays. */
  async function ask<T>(site: SiteName, request: (api: SiteApi) => Promise<T>): Promise<T> {
    const deadlineMs = performance.now() + MOVE_MS_MAX;
    for (;;) {
      try {
        return await request(await sites.gateways[site].api());
      } catch (error) {
        // Its gateway is away, or has not heard yet that the last move has ended.
        const isGone = error instanceof TypeError ||
          /guest_moving|peer_unreachable/.test((error as Error).message);
        if (!isGone || performance.now() > deadlineMs) throw error;
        await pause(POLL_MS);
      }
    }
  }

  const put = (site: SiteName, role: "source" | "incoming") =>
    ask(site, (api) => api.call("PUT", `/guests/${GUEST_ID}`, machine.definition(site, role)));
  await put("a", "source");
  await machine.ready();
  let here: SiteName = "a";
  while (elapsed() < options.minutes * 60) {
    const there: SiteName = here === "a" ? "b" : "a";
    await put(there, "incoming");
    const request = { guest: GUEST_ID, to: there, maxDowntimeMs: 3_000 };
    const { id } = await ask(
      here,
      (api) => api.call<MigrationReport>("POST", "/migrations", request),
    );
    const troubleMs = random.nextRatio() * 3_000;
    const outageMs = random.chance(OUTAGE_RATIO) ? 500 + random.nextRatio() * 4_500 : 0;
    const victim = random.chance(options.kills ? KILL_RATIO : 0)
      ? (random.chance(0.5) ? "a" : "b")
      : null;
    const beganMs = performance.now();
    let report: MigrationReport;
    for (let troubled = false;;) {
      report = await ask(here, (api) => api.migration(id));
      if (ENDED.includes(report.state)) break;
      const passedMs = performance.now() - beganMs;
      if (!troubled && passedMs >= troubleMs) {
        troubled = true;
        if (outageMs > 0) {
          sites.relay.outage(outageMs);
          outages++;
          outageSeconds += outageMs / 1000;
        }
        if (victim !== null) {
          sites.gateways[victim].kill("SIGKILL");
          kills++;
        }
      }
      if (passedMs > MOVE_MS_MAX) {
        const logs = Object.values(sites.gateways).map(({ log }) => log.slice(-3_000));
        throw new Error(`A move does not end: ${JSON.stringify(report)}\n${logs.join("\n")}`);
      }
      await pause(POLL_MS);
    }
    ends[report.state] = (ends[report.state] ?? 0) + 1;
    wireBytes += report.wireBytes.total;
    if (report.state === "completed") {
      here = there;
      if (report.downtimeMs !== null) downtimesMs.push(report.downtimeMs);
    } else if (report.owner !== here || report.machine.runState !== "running") {
      throw new Error(`The machine does not run where it was: ${JSON.stringify(report)}`);
    }
    const at = here;
    await ask(at, (api) => machine.verify(at, api));
    verified++;
    options.onMove?.(
      `${elapsed().toFixed(0).padStart(5)} s  ${report.state.padEnd(9)} at ${at}, verified` +
        `${outageMs > 0 ? `, outage ${(outageMs / 1000).toFixed(1)} s` : ""}` +
        `${victim === null ? "" : `, gateway of ${victim} killed`}` +
        `${report.error === null ? "" : `: ${report.error.code}`}`,
    );
    if (report.state === "completed" && random.chance(0.5)) {
      await ask(
        report.from as SiteName,
        (api) => api.call("DELETE", `/migrations/${id}/leftovers`),
      );
    }
    for (const site of ["a", "b"] as const) {
      const usage = await sites.usage(site);
      if (usage !== null) samples.push({ site, seconds: elapsed(), ...usage });
    }
  }
  for (const site of ["a", "b"] as const) {
    const peers = await ask(
      site,
      (api) => api.call<{ resentBytes: number }[]>("GET", "/peers"),
    );
    resentBytes += peers.reduce((sum, peer) => sum + peer.resentBytes, 0);
  }
  return {
    seconds: elapsed(),
    ends,
    verified,
    outages,
    outageSeconds,
    kills,
    downtimesMs,
    resentBytes,
    wireBytes,
    samples,
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
