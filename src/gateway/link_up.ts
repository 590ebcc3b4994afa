import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { PeerLink } from "../link/peer_link.ts";

/** Time for an offer to reach a peer whose link is just coming up. */
const LINK_UP_TIMEOUT_MS = 15_000;

/**
 * Waits until a connection to the peer exists.
 *
 * @param lastError why the last contact failed, if anything is known of that
 * @param signal ends the waiting: the call rejects with its reason
 * @throws {GatewayError} what `lastError` knows, else `peer_unreachable`, after `waitMsMax`
 */
export async function whenUp(
  link: PeerLink,
  name: string,
  clock: Clock,
  lastError: () => GatewayError | null,
  waitMsMax = LINK_UP_TIMEOUT_MS,
  signal?: AbortSignal,
): Promise<void> {
  if (link.state === "up") return;
  const waiting = new AbortController();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  let stop = () => {};
  const up = new Promise<void>((resolve) => {
    stop = link.onEvent((event) => event.kind === "up" && resolve());
  });
  const timeout = clock.sleep(waitMsMax, waiting.signal).then(() => {
    throw lastError() ??
      new GatewayError("peer_unreachable", `Cannot reach ${name}: no connection to its gateway`, {
        hint: "Check that it runs, its address in the configuration, and that UDP passes",
      });
  });
  timeout.catch(() => {});
  try {
    await Promise.race([up, timeout, aborted.promise]);
  } finally {
    signal?.removeEventListener("abort", abort);
    stop();
    waiting.abort();
  }
}
