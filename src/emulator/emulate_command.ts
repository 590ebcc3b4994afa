import { loadProfile } from "./load_profile.ts";
import { tcCommands } from "./tc_commands.ts";
import { type Relay, type RelayCounters, startRelay } from "./udp_relay.ts";

/** How often `--counters` is rewritten. */
const COUNTERS_PERIOD_MS = 1_000;

/** Arguments of `causeway emulate`; addresses are `HOST:PORT`. */
export interface EmulateOptions {
  /** A name in wan-profiles/, or a path. */
  readonly profile: string;
  readonly listen: string;
  readonly to: string;
  readonly seed?: number;
  readonly json?: boolean;
  /** File that gets the counters as JSON every second and at the end. */
  readonly counters?: string;
  /** Prints the profile as `tc` commands, and nothing listens. */
  readonly printTc?: boolean;
}

export interface EmulateEnvironment {
  readonly print: (line: string) => void;
  /** Ends the command; by default SIGINT and SIGTERM do. */
  readonly stop?: AbortSignal;
}

/**
 * `causeway emulate`: runs a UDP relay until it is told to stop, then prints its counters.
 *
 * Prints `ready listen=HOST:PORT to=HOST:PORT profile=NAME seed=N` when packets pass; with `json`,
 * one object per line with `event` `ready` or `counters`.
 *
 * @returns the exit code, 0
 * @throws {GatewayError} `profile_invalid`, `profile_not_found`, `address_invalid`, `address_in_use`
 */
export async function emulate(
  options: EmulateOptions,
  { print, stop = stopSignal() }: EmulateEnvironment,
): Promise<number> {
  const profile = await loadProfile(options.profile);
  if (options.printTc) {
    const lines = tcCommands(profile);
    print(options.json ? JSON.stringify({ profile: profile.name, lines }) : lines.join("\n"));
    return 0;
  }
  const seed = options.seed ?? 1;
  const relay = await startRelay({ profile, listen: options.listen, to: options.to, seed });
  const write = options.counters === undefined ? null : countersWriter(relay, options.counters);
  try {
    await write?.();
    print(
      options.json
        ? JSON.stringify({
          event: "ready",
          listen: relay.address,
          to: relay.to,
          profile: profile.name,
          seed,
        })
        : `ready listen=${relay.address} to=${relay.to} profile=${profile.name} seed=${seed}`,
    );
    const timer = write && setInterval(() => void write().catch(() => {}), COUNTERS_PERIOD_MS);
    await aborted(stop);
    if (timer !== null) clearInterval(timer);
    await write?.();
    const counters = relay.counters();
    for (const line of options.json ? [jsonLine(counters)] : describe(counters)) print(line);
  } finally {
    await relay.close();
  }
  return 0;
}

/** Writes beside and renames, so that a reader never sees half a file; one write at a time. */
function countersWriter(relay: Relay, path: string): () => Promise<void> {
  let last = Promise.resolve();
  return () =>
    last = last.catch(() => {}).then(async () => {
      const temporary = `${path}.${Deno.pid}`;
      await Deno.writeTextFile(temporary, JSON.stringify(relay.counters(), null, 2) + "\n");
      await Deno.rename(temporary, path);
    });
}

function jsonLine(counters: RelayCounters): string {
  return JSON.stringify({ event: "counters", ...counters });
}

/** Counters for people: a line per direction and one of the relay's own quality. */
function describe(counters: RelayCounters): string[] {
  const directions = (["forward", "backward"] as const).map((direction) => {
    const link = counters[direction];
    const dropped = Object.entries(link.droppedPackets).map(([cause, n]) => `${cause}=${n}`);
    return `${direction} offered=${link.offeredPackets} delivered=${link.deliveredPackets} ` +
      `duplicated=${link.duplicatedPackets} wireBytes=${link.wireBytes} dropped: ` +
      `${dropped.join(" ")}`;
  });
  return [
    ...directions,
    `relay flows=${counters.flows} late=${counters.latePackets} ` +
    `lateMsMax=${counters.lateMsMax.toFixed(1)} failedSends=${counters.failedSends} ` +
    `socketErrors=${counters.socketErrors}`,
  ];
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Aborts at the first SIGINT or SIGTERM; the second one ends the process as usual. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const signals = ["SIGINT", "SIGTERM"] as const;
  const onSignal = () => {
    for (const name of signals) Deno.removeSignalListener(name, onSignal);
    controller.abort();
  };
  for (const name of signals) Deno.addSignalListener(name, onSignal);
  return controller.signal;
}
