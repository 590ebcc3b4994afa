import type { Clock } from "../core/clock.ts";
import { encodeFiller } from "../wire/session_records.ts";
import type { Carrier } from "./carrier.ts";
import { PROBE_STEP_MS, ProbeSamples, probeSecondsMax } from "./path_probe.ts";
import type { PathProbe, ProbeOptions } from "./peer_link.ts";

/** One record of filler: short, because what is urgent for a move waits for the end of one. */
export const FILLER_BYTES = 16 * 1024;
const BYTES_MAX = 64 * 1024 * 1024;
/** How long a probe looks on where a move sends. */
const WATCH_MS = 1_000;

const FILLER = encodeFiller(FILLER_BYTES);

/** What a prober needs of the link. */
export interface ProbeHost {
  readonly clock: Clock;
  /** The connection in use; null without one. */
  carrier(): Carrier | null;
  /** True while a move sends, or did a moment ago. */
  isBusy(): boolean;
  /** Filler may go: `next` will be asked for it. */
  wake(): void;
}

/** Sends filler and watches what becomes of it: one probe at a time. */
export class Prober {
  readonly #host: ProbeHost;
  #running: Promise<PathProbe> | null = null;
  #leftBytes = 0;
  #sentBytes = 0;

  constructor(host: ProbeHost) {
    this.#host = host;
  }

  /** Filler to send now, where there is some and nothing else may go. */
  next(): Uint8Array {
    this.#leftBytes -= FILLER_BYTES;
    this.#sentBytes += FILLER_BYTES;
    return FILLER;
  }

  get hasFiller(): boolean {
    return this.#leftBytes >= FILLER_BYTES && !this.#host.isBusy();
  }

  probe(options: ProbeOptions = {}): Promise<PathProbe> {
    this.#running ??= this.#run(options).finally(() => {
      this.#running = null;
      this.#leftBytes = 0;
    });
    return this.#running;
  }

  async #run({ secondsMax, bytesMax = BYTES_MAX, signal }: ProbeOptions): Promise<PathProbe> {
    const { clock } = this.#host;
    const carrier = this.#host.carrier();
    const samples = new ProbeSamples();
    this.#sentBytes = 0;
    if (carrier === null) return samples.result("filler", 0);
    const startMs = clock.nowMs();
    const limitMs = 1000 * (secondsMax ?? probeSecondsMax(carrier.path().minRoundTripMs));
    let source: PathProbe["source"] = this.#host.isBusy() ? "moves" : "filler";
    if (source === "filler") this.#leftBytes = bytesMax;
    for (;;) {
      const elapsedMs = clock.nowMs() - startMs;
      samples.add(clock.nowMs(), carrier.deliveredBytes, carrier.path());
      if (this.#host.isBusy()) [source, this.#leftBytes] = ["moves", 0];
      const isEnough = source === "moves"
        ? elapsedMs >= WATCH_MS
        : samples.isSettled || this.#leftBytes < FILLER_BYTES;
      if (isEnough || elapsedMs >= limitMs || this.#host.carrier() !== carrier) break;
      this.#host.wake();
      await clock.sleep(PROBE_STEP_MS, signal);
    }
    return samples.result(source, this.#sentBytes);
  }
}
