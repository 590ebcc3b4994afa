import type { Clock } from "../core/clock.ts";
import { toGatewayError } from "../core/errors.ts";

/** How long `trust` takes to have an effect on a running gateway, at most. */
export const PEERS_LOOK_MS = 1_000;

export interface PeerWatchOptions {
  /** Another text whenever the peers may have changed. */
  readonly version: () => Promise<string>;
  /** Reads them and takes them over; rejects, and changes nothing, while they cannot be read. */
  readonly reload: () => Promise<void>;
  readonly clock: Clock;
  readonly log: (level: "info" | "warn", message: string) => void;
  /** Ends the watch. */
  readonly signal: AbortSignal;
}

/**
 * Looks at the configuration's peers once a second and takes them over when they changed. A
 * configuration that cannot be read keeps the old ones, is told once, and is tried again every
 * second: a certificate that was missing may come without a change of the file that names it.
 *
 * Resolves, never rejects, when `signal` aborts.
 */
export async function watchPeers(options: PeerWatchOptions): Promise<void> {
  const { version, reload, clock, log, signal } = options;
  let taken: string | null = null;
  let trouble: string | null = null;
  while (!signal.aborted) {
    try {
      // Asked for before the reading: what is written meanwhile is seen at the next look.
      const current = await version();
      if (current !== taken) {
        await reload();
        if (trouble !== null) log("info", "the configuration's peers can be read again");
        [taken, trouble] = [current, null];
      }
    } catch (thrown) {
      const { message } = toGatewayError(thrown);
      if (message !== trouble) log("warn", `${message}; the peers stay as they were`);
      [taken, trouble] = [null, message];
    }
    await clock.sleep(PEERS_LOOK_MS, signal).catch(() => {});
  }
}
