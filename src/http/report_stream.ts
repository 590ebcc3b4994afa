import type { Clock } from "../core/clock.ts";
import type { GatewayService } from "../gateway/service.ts";
import { ENDED_STATES, type MigrationReport } from "../migration/report.ts";

/** Proxies and clients end silent connections after some 30 s. */
export const KEEP_ALIVE_MS = 10_000;

/** What a client that lost the stream waits before it asks again. */
export const RECONNECT_MS = 1_000;

/**
 * The reports of one migration as server-sent events: `report` for each, at once for the present
 * one, then `end` when it has ended.
 *
 * Nothing is made before the reader asks for it, and only the newest report waits: a slow reader
 * costs one report and misses older ones.
 *
 * @param closing ends the stream without `end`; the client connects again
 * @throws {GatewayError} `migration_unknown`
 */
export function reportStream(
  service: Pick<GatewayService, "migration" | "onReport">,
  id: string,
  clock: Clock,
  closing?: AbortSignal,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let newest: MigrationReport | null = service.migration(id);
  let wake = () => {};
  let opened = false;
  const stop = service.onReport(id, (report) => {
    newest = report;
    wake();
  });
  const left = new AbortController();
  const finish = () => {
    stop();
    left.abort();
    wake();
  };
  closing?.addEventListener("abort", finish, { once: true });
  const close = () => {
    finish();
    closing?.removeEventListener("abort", finish);
  };
  if (closing?.aborted) finish();

  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      let text = "";
      if (!opened) text += `retry: ${RECONNECT_MS}\n\n`;
      opened = true;
      if (newest === null && !left.signal.aborted) await newReportOr(KEEP_ALIVE_MS);
      if (left.signal.aborted) {
        close();
        return controller.close();
      }
      const report = newest as MigrationReport | null;
      newest = null;
      const ended = report !== null && ENDED_STATES.includes(report.state);
      if (report === null) text += ": still here\n\n";
      else {
        text += `event: report\ndata: ${JSON.stringify(report)}\n\n`;
        if (ended) text += `event: end\ndata: ${JSON.stringify({ state: report.state })}\n\n`;
      }
      controller.enqueue(encoder.encode(text));
      if (!ended) return;
      close();
      controller.close();
    },
    cancel: close,
  }, { highWaterMark: 0 });

  async function newReportOr(ms: number): Promise<void> {
    const waiting = new AbortController();
    const woken = new Promise<void>((resolve) => wake = resolve);
    const timeout = clock.sleep(ms, waiting.signal).catch(() => {});
    await Promise.race([woken, timeout]);
    waiting.abort();
    wake = () => {};
  }
}
