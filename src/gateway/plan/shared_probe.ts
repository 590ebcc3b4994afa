import type { PathProbe, PeerLink } from "../../link/peer_link.ts";

interface Running {
  readonly probe: Promise<PathProbe>;
  readonly over: AbortController;
  users: number;
}

const running = new WeakMap<PeerLink, Running>();

/**
 * Probes the path, at most so long. Probes of one link at the same time are one, and it ends when
 * nobody waits for it any more: whoever gives up does not take it from the others.
 *
 * @throws what `signal` aborts with
 */
export async function probeShared(
  link: PeerLink,
  secondsMax: number,
  signal: AbortSignal,
): Promise<PathProbe> {
  signal.throwIfAborted();
  const shared = running.get(link) ?? begin(link, secondsMax);
  shared.users++;
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([shared.probe, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    if (--shared.users === 0) {
      // Whoever comes now begins a new one.
      if (running.get(link) === shared) running.delete(link);
      shared.over.abort();
    }
  }
}

function begin(link: PeerLink, secondsMax: number): Running {
  const over = new AbortController();
  const probe = link.probePath({ secondsMax, signal: over.signal });
  // Where all have given up nobody hears of its end.
  probe.catch(() => {});
  const begun = { probe, over, users: 0 };
  running.set(link, begun);
  return begun;
}
