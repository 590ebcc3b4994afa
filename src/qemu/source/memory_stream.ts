import { GatewayError } from "../../core/errors.ts";
import { checkCpuThrottle } from "../../guest/throttles.ts";
import type { MemoryProgress, MemorySource } from "../../guest/guest.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { cpuThrottleParameters } from "../cpu_throttle.ts";
import { canHoldSwitchover, isAtLeast } from "../describe.ts";
import { ask, memorySizeAnswer } from "../answers.ts";
import type { Machine } from "../machine.ts";
import { MigrationWatch, SETTLED } from "../migration_watch.ts";
import { createStreamReader } from "../stream/reader.ts";
import { encodeReturnPath } from "../stream/return_path.ts";
import { differsEnough, holdBandwidth } from "./hold.ts";
import { acceptOne, type StreamListener } from "./listener.ts";
import { pingsIn } from "./pings.ts";
import { ReadAhead } from "./read_ahead.ts";
import { StreamEndDetector } from "./stream_end.ts";

const READ_BUFFER_BYTES = 512 * 1024;
/**
 * QEMU counts in tenths of a second, and takes 0 bytes in one of them for no limit at all. It fills a
 * buffer of 32 pages before it looks again, so less than 1.3 MB/s is not to be had while more is dirty.
 */
const BANDWIDTH_MIN = 10;
/**
 * From this version on `auto-converge` looks for dirty memory every 5 s in QEMU's main loop, and
 * waits there for the thread that sends, which keeps its lock while it waits for a reader. Seen on
 * 10.0.2: a reader that stops for some seconds then stops the monitor and the machine with it.
 */
const SYNCS_BY_TIMER = [9, 2] as const;
const BANDWIDTH_DEFAULT = 1024 * 1024 * 1024;
/** Twice in each of QEMU's rate windows: one with room left over is spent on empty passes. */
const HOLD_POLL_MS = 50;
const DOWNTIME_RELEASED_MS = 500;
/** QEMU's own upper bound of `downtime-limit`. */
const DOWNTIME_FORCED_MS = 2_000_000;
/** A released machine that still does not pause dirties memory faster than it is read. */
const FORCE_AFTER_MS = 300;
/** Silence after which a stream in its device state counts as written to its end. */
const QUIET_END_MS = 50;
const SETTLE_TIMEOUT_MS = 30_000;
const DEFAULT_PAGE_BYTES = 4096;

/** One run of QEMU's outgoing migration, read by the gateway. */
export class MemoryStream implements MemorySource {
  readonly #machine: Machine;
  readonly #watch: MigrationWatch;
  readonly #conn: Deno.Conn;
  readonly #reader = createStreamReader({ reuseContents: true });
  readonly #end = new StreamEndDetector();
  readonly #holding = new AbortController();
  /** Reads where nobody does, see `SYNCS_BY_TIMER`; null where QEMU can wait as long as it has to. */
  readonly #ahead: ReadAhead | null;
  #isReaderAway = false;
  #state: "held" | "released" | "finishing" | "ended" | "cancelled" = "held";
  /** What was asked for. */
  #throttlePercent = 0;
  #boundBytesPerSecond = BANDWIDTH_DEFAULT;
  #bandwidth = BANDWIDTH_DEFAULT;
  /** Since when the reader waits for QEMU; null while it does not, and QEMU waits for the reader. */
  #readingSinceMs: number | null = null;
  readonly #readToEnd = Promise.withResolvers<void>();
  #shutSent = false;
  #writes: Promise<unknown> = Promise.resolve();

  private constructor(
    machine: Machine,
    watch: MigrationWatch,
    conn: Deno.Conn,
    private readonly memoryBytes: number,
    private readonly mayThrottleCpu: boolean,
  ) {
    this.#machine = machine;
    this.#watch = watch;
    this.#conn = conn;
    const isAtRisk = mayThrottleCpu && isAtLeast(machine.version, ...SYNCS_BY_TIMER);
    this.#ahead = isAtRisk
      ? new ReadAhead(conn, { clock: machine.clock, onAway: (isAway) => this.#onAway(isAway) })
      : null;
  }

  /** Lets QEMU connect to `listener` and begins; the settings of the source are in place. */
  static async start(
    machine: Machine,
    listener: StreamListener,
    mayThrottleCpu: boolean,
  ): Promise<MemoryStream> {
    const watch = new MigrationWatch(machine);
    try {
      const memory = await ask(machine, "query-memory-size-summary", memorySizeAnswer);
      await machine.execute("migrate-set-parameters", {
        "max-bandwidth": BANDWIDTH_DEFAULT,
        "downtime-limit": DOWNTIME_RELEASED_MS,
        ...(mayThrottleCpu ? cpuThrottleParameters(0) : {}),
      });
      await machine.execute("migrate", { uri: listener.uri });
      const conn = await acceptOne(listener, machine.clock, machine.peerHost);
      const stream = new MemoryStream(
        machine,
        watch,
        conn,
        memory["base-memory"] + (memory["plugged-memory"] ?? 0),
        mayThrottleCpu,
      );
      if (canHoldSwitchover(machine.version)) void stream.#hold();
      return stream;
    } catch (thrown) {
      const answer = await watch.migration().catch(() => null);
      watch.close();
      await machine.execute("migrate_cancel").catch(() => {});
      throw await machine.explain(
        answer?.status === "failed" ? failed(answer["error-desc"], thrown) : thrown,
      );
    } finally {
      listener.close();
    }
  }

  async *items(): AsyncGenerator<MemoryItem[], void, undefined> {
    try {
      yield* this.#read();
    } finally {
      this.#readToEnd.resolve();
    }
  }

  async *#read(): AsyncGenerator<MemoryItem[], void, undefined> {
    const buffer = new Uint8Array(this.#ahead === null ? READ_BUFFER_BYTES : 0);
    for (;;) {
      this.#readingSinceMs = this.#machine.clock.nowMs();
      const bytes = await (this.#ahead?.next() ?? this.#readConn(buffer));
      this.#readingSinceMs = null;
      if (this.#isCancelled()) return;
      if (bytes === null) break;
      const items = this.#reader.push(bytes);
      if (this.#reader.phase === "device" && this.#end.push(bytes)) this.#sendShut();
      for (const item of items) {
        if (item.kind !== "opaque" || this.#reader.phase === "device") continue;
        for (const value of pingsIn(item.bytes)) this.#send({ kind: "pong", value });
      }
      if (items.length > 0) yield items;
    }
    const rest = this.#reader.end();
    const outcome = await this.#watch.untilMigration(SETTLED, SETTLE_TIMEOUT_MS).catch(() => null);
    if (this.#isCancelled()) return;
    if (outcome?.status !== "completed") {
      const reason = this.#ahead?.gaveUp
        ? "its reader has taken nothing for too long"
        : outcome?.["error-desc"];
      throw await this.#machine.explain(failed(reason));
    }
    if (rest.length > 0) yield rest;
  }

  async #readConn(buffer: Uint8Array): Promise<Uint8Array | null> {
    try {
      const count = await this.#conn.read(buffer);
      return count === null ? null : buffer.subarray(0, count);
    } catch {
      // The connection was closed here by `cancel`, or reset by a QEMU that died.
      return null;
    }
  }

  async progress(): Promise<MemoryProgress> {
    const answer = await this.#watch.migration();
    const { ram } = answer;
    const takenPercent = answer["cpu-throttle-percentage"] ?? 0;
    return {
      // Without figures yet nothing has been sent: 0 would look like a machine in sync.
      totalBytes: ram?.total ?? this.memoryBytes,
      remainingBytes: ram?.remaining ?? this.memoryBytes,
      dirtyBytesPerSecond: (ram?.["dirty-pages-rate"] ?? 0) *
        (ram?.["page-size"] ?? DEFAULT_PAGE_BYTES),
      pass: Math.max(1, ram?.["dirty-sync-count"] ?? 1),
      cpuThrottleShare: this.mayThrottleCpu ? takenPercent / 100 : null,
    };
  }

  async setBandwidth(bytesPerSecond: number): Promise<void> {
    if (!(bytesPerSecond >= 1)) throw new RangeError(`bandwidth is ${bytesPerSecond}`);
    this.#boundBytesPerSecond = Math.floor(bytesPerSecond);
    if (this.#isReaderAway) return;
    if (this.#state !== "held" || this.#bandwidth > this.#boundBytesPerSecond) {
      await this.#setBandwidth(this.#boundBytesPerSecond);
    }
  }

  async throttleCpu(share: number): Promise<void> {
    checkCpuThrottle(share, this.mayThrottleCpu);
    const percent = Math.round(share * 100);
    if (percent <= this.#throttlePercent) return;
    this.#throttlePercent = percent;
    await this.#machine.execute("migrate-set-parameters", cpuThrottleParameters(percent));
  }

  async pauseAtGate(): Promise<{ pausedAtMs: number }> {
    this.#holding.abort();
    this.#state = "released";
    const { clock } = this.#machine;
    await this.#machine.execute("migrate-set-parameters", {
      "max-bandwidth": Math.max(BANDWIDTH_MIN, this.#boundBytesPerSecond),
      "downtime-limit": DOWNTIME_RELEASED_MS,
    });
    // The acknowledgement alone does not switch: too much may be dirty for the bandwidth of a hold.
    if (canHoldSwitchover(this.#machine.version)) this.#send({ kind: "switchoverAck" });
    const gate = new Set([...SETTLED, "pre-switchover"]);
    let answer = await this.#watch.untilMigration(gate, FORCE_AFTER_MS);
    if (answer === null) {
      // A paused machine gets there by itself: nothing gets dirty any more.
      if (await this.#watch.runState() === "running") {
        await this.#machine.execute("migrate-set-parameters", {
          "downtime-limit": DOWNTIME_FORCED_MS,
        });
      }
      answer = await this.#watch.untilMigration(gate);
    }
    if (answer?.status !== "pre-switchover") {
      throw await this.#machine.explain(failed(answer?.["error-desc"]));
    }
    return { pausedAtMs: this.#watch.stoppedAtMs ?? clock.nowMs() };
  }

  async finish(): Promise<void> {
    this.#state = "finishing";
    // The machine stands still: QEMU may wait now, and must not lose its reader.
    this.#ahead?.stop();
    await this.#machine.execute("migrate-continue", { state: "pre-switchover" });
    const settled = this.#watch.untilMigration(SETTLED);
    let outcome: Awaited<typeof settled> | undefined;
    settled.then((value) => outcome = value, () => outcome = null);
    while (outcome === undefined) {
      await Promise.race([settled.catch(() => {}), this.#machine.clock.sleep(QUIET_END_MS)]);
      this.#shutWhenQuiet();
    }
    const answer = await settled;
    if (answer?.status !== "completed") {
      throw await this.#machine.explain(failed(answer?.["error-desc"]));
    }
    const state = await this.#watch.untilRunState(
      (status) => status === "postmigrate",
      SETTLE_TIMEOUT_MS,
    );
    if (state === null) throw failed("the machine did not reach postmigrate");
    // What QEMU wrote last may still lie in the socket while the reader waits for the link.
    await this.#readToEnd.promise;
    this.#state = "ended";
    this.#close();
  }

  async cancel(): Promise<void> {
    if (this.#state === "ended" || this.#state === "cancelled") return;
    this.#holding.abort();
    // QEMU holds its main loop while it writes the last pages and the device state: one that waits for
    // its reader answers no monitor. Losing the socket sets it free, and it runs again by itself.
    if (this.#state === "finishing") this.#closeConn();
    this.#state = "cancelled";
    try {
      await cancelMigration(this.#machine, this.#watch, () => this.#closeConn());
    } finally {
      this.#close();
    }
  }

  /** Closes the socket and nothing else: QEMU finds its reader gone, as after a crash. */
  disconnect(): void {
    this.#close();
  }

  #isCancelled(): boolean {
    return this.#state === "cancelled";
  }

  /** Adjusts `max-bandwidth` to what is dirty until the hold ends. */
  async #hold(): Promise<void> {
    const { clock } = this.#machine;
    const { signal } = this.#holding;
    try {
      while (!signal.aborted) {
        await clock.sleep(HOLD_POLL_MS, signal);
        const { remainingBytes } = await this.progress();
        const boundBytesPerSecond = this.#boundBytesPerSecond;
        const wanted = holdBandwidth({ remainingBytes, boundBytesPerSecond });
        if (!signal.aborted && !this.#isReaderAway && differsEnough(this.#bandwidth, wanted)) {
          await this.#setBandwidth(wanted);
        }
      }
    } catch {
      // Aborted, or the machine has ended: then whoever reads the stream learns it.
    }
  }

  async #setBandwidth(bytesPerSecond: number): Promise<void> {
    const bandwidth = Math.max(BANDWIDTH_MIN, bytesPerSecond);
    this.#bandwidth = bandwidth;
    await this.#machine.execute("migrate-set-parameters", { "max-bandwidth": bandwidth });
  }

  #onAway(isAway: boolean): void {
    this.#isReaderAway = isAway;
    // QEMU's timer stands still with the machine, and what is left shall not be slowed.
    if (this.#watch.stoppedAtMs !== null) return;
    const wanted = isAway ? BANDWIDTH_MIN : this.#boundBytesPerSecond;
    void this.#setBandwidth(wanted).catch(() => {
      // Whoever reads the stream learns that the machine has ended.
    });
  }

  /** For streams whose end cannot be seen (`suppress-vmdesc`): harmless when it comes early. */
  #shutWhenQuiet(): void {
    // A reader that waits for the link is not quiet: QEMU may have more to say.
    if (this.#readingSinceMs === null) return;
    const quietMs = this.#machine.clock.nowMs() - this.#readingSinceMs;
    const { phase } = this.#reader;
    if ((phase === "device" || phase === "opaque") && quietMs >= QUIET_END_MS) this.#sendShut();
  }

  #sendShut(): void {
    if (this.#shutSent || this.#state !== "finishing") return;
    this.#shutSent = true;
    this.#send({ kind: "shut", status: 0 });
  }

  #send(content: Parameters<typeof encodeReturnPath>[0]): void {
    const bytes = encodeReturnPath(content);
    this.#writes = this.#writes.then(async () => {
      for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
    }).catch(() => {
      // QEMU closed its end: the reader sees that, too, and says why.
    });
  }

  #close(): void {
    this.#ahead?.stop();
    this.#holding.abort();
    this.#watch.close();
    this.#closeConn();
  }

  #closeConn(): void {
    try {
      this.#conn.close();
    } catch {
      // Closed before.
    }
  }
}

/**
 * Ends an outgoing migration and waits until the machine stands as before it.
 *
 * In `device` QEMU refuses to cancel: losing its socket makes it fail and resume by itself. One that
 * completes meanwhile is left in `postmigrate`; what follows is its owner's decision.
 */
export async function cancelMigration(
  machine: Machine,
  watch: MigrationWatch,
  closeConnection: () => void,
): Promise<void> {
  const { status } = await watch.migration();
  if (!SETTLED.has(status)) {
    if (status !== "device") {
      await machine.execute("migrate_cancel").catch(async (thrown) => {
        throw await machine.explain(thrown);
      });
    }
    if (status !== "pre-switchover") closeConnection();
    const settled = await watch.untilMigration(SETTLED, SETTLE_TIMEOUT_MS);
    if (settled === null) throw failed("it did not stop after it was cancelled");
  }
  closeConnection();
  await watch.untilRunState((state) => state !== "finish-migrate", SETTLE_TIMEOUT_MS);
  await watch.untilLetGo();
}

export function failed(reason: string | undefined, cause?: unknown): GatewayError {
  return new GatewayError(
    "memory_stream_failed",
    `Cannot read the machine's memory: ${reason ?? "QEMU ended the stream without a reason"}`,
    { hint: "The machine goes on at the source; QEMU's own log may tell more", cause },
  );
}
