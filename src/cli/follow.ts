import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { wholeReport } from "../migration/report_form.ts";
import { ENDED_STATES, type MigrationReport } from "../migration/report.ts";
import type { ServerEvent } from "./sse_reader.ts";

/** What following needs of the API. */
export interface EventSource {
  events(id: string, signal: AbortSignal): AsyncIterable<ServerEvent>;
}

const RECONNECT_MS = 500;
/** A gateway that restarts is back within seconds; after this it is not reachable. */
export const UNREACHABLE_MS_MAX = 30_000;
/**
 * A doubt ends by itself when the link comes back, so it is not the end at once; but only the
 * operator may know that it does not.
 */
export const IN_DOUBT_MS_MAX = 60_000;

/**
 * Reports of a migration until it has ended, or waits for a person: `conflict`, or `inDoubt` for a
 * minute. A stream that breaks is opened again.
 *
 * @param signal stops following; the migration goes on
 * @throws {GatewayError} `gateway_unreachable` after half a minute without the gateway,
 *   `migration_unknown`, `internal` for what is no report
 */
export async function* follow(
  source: EventSource,
  id: string,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<MigrationReport> {
  let heardAtMs = clock.nowMs();
  let doubtSinceMs: number | null = null;
  for (;;) {
    try {
      for await (const { name, data } of untilDoubted()) {
        heardAtMs = clock.nowMs();
        if (name !== "report") continue;
        const report = reportIn(data);
        doubtSinceMs = report.state === "inDoubt" ? doubtSinceMs ?? heardAtMs : null;
        yield report;
        if (ENDED_STATES.includes(report.state) || report.state === "conflict") return;
      }
    } catch (error) {
      if (!(error instanceof GatewayError && error.code === "gateway_unreachable")) throw error;
      if (clock.nowMs() - heardAtMs > UNREACHABLE_MS_MAX) throw error;
    }
    if (signal.aborted || isDoubtful()) return;
    await clock.sleep(RECONNECT_MS, signal).catch(() => {});
  }

  function isDoubtful(): boolean {
    return doubtSinceMs !== null && clock.nowMs() - doubtSinceMs >= IN_DOUBT_MS_MAX;
  }

  /** One stream, ended when a doubt has lasted too long: reports may stay away meanwhile. */
  async function* untilDoubted(): AsyncGenerator<ServerEvent> {
    const stop = new AbortController();
    const onAbort = () => stop.abort();
    signal.addEventListener("abort", onAbort, { once: true });
    const watching = (async () => {
      while (!stop.signal.aborted) {
        await clock.sleep(RECONNECT_MS, stop.signal).catch(() => {});
        if (isDoubtful()) stop.abort();
      }
    })();
    try {
      if (!signal.aborted) yield* source.events(id, stop.signal);
    } finally {
      stop.abort();
      signal.removeEventListener("abort", onAbort);
      await watching;
    }
  }
}

function reportIn(data: string): MigrationReport {
  const report = wholeReport(parsed(data));
  if (report !== null) return report;
  throw new GatewayError("internal", "Cannot follow the move: the gateway sends no report of it", {
    hint: "Check that command and gateway are of the same version",
  });
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
