import type { Clock } from "../core/clock.ts";
import type { GatewayService } from "../gateway/service.ts";
import type { RedirectView } from "../redirect/view.ts";
import { KEEP_ALIVE_MS, RECONNECT_MS } from "./report_stream.ts";

/**
 * Redirects of the site as server-sent events: `redirect` for each that there is, then for each that
 * has changed. Has no end of its own: redirects go on after their moves.
 *
 * Of each redirect only the newest view waits: a slow reader costs one for each and misses older ones.
 *
 * @param closing ends the stream; the client connects again
 */
export function redirectStream(
  service: Pick<GatewayService, "redirects" | "onRedirect">,
  clock: Clock,
  closing: AbortSignal,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const waiting = new Map<string, RedirectView>();
  const left = new AbortController();
  const over = AbortSignal.any([closing, left.signal]);
  let wake = () => {};
  let isOpened = false;
  const keyOf = ({ guest, migration, side }: RedirectView) => `${guest} ${migration} ${side}`;
  const stop = service.onRedirect((view) => {
    waiting.set(keyOf(view), view);
    wake();
  });
  over.addEventListener("abort", () => (stop(), wake()), { once: true });
  if (over.aborted) stop();

  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      let text = "";
      if (!isOpened) {
        isOpened = true;
        text += `retry: ${RECONNECT_MS}\n\n`;
        for (const view of (await service.redirects()).toReversed()) {
          // What has changed meanwhile is newer.
          if (!waiting.has(keyOf(view))) waiting.set(keyOf(view), view);
        }
      } else if (waiting.size === 0 && !over.aborted) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        const timer = new AbortController();
        const late = clock.sleep(KEEP_ALIVE_MS, timer.signal).catch(() => {});
        await Promise.race([promise, late]);
        timer.abort();
      }
      if (over.aborted) {
        left.abort();
        return controller.close();
      }
      for (const view of waiting.values()) {
        text += `event: redirect\ndata: ${JSON.stringify(view)}\n\n`;
      }
      if (waiting.size === 0) text += ": still here\n\n";
      waiting.clear();
      controller.enqueue(encoder.encode(text));
    },
    cancel: () => left.abort(),
  }, { highWaterMark: 0 });
}
