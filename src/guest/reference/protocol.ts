import type { ReferenceWorkload } from "../definition.ts";
import type { DirtySample } from "../dirty_sample.ts";
import type { RunState } from "../guest.ts";
import type { VerifyReport } from "./audit.ts";

/**
 * What gateway and reference machine say to each other over the unix socket `machine.sock` in the
 * machine's state directory. Implemented, version 3.
 *
 * Every connection carries messages of a JSON head and a raw body (`messages.ts`). Its first
 * message says what it is for; any number of connections may be open, of the last two kinds one
 * each:
 *
 * | `{ "open": … }` | then |
 * | --- | --- |
 * | `control` | calls in any order, each answered when it is done; events |
 * | `disk` | the same, but one call at a time: not reading the answers holds the next call back |
 * | `memory-out` | machine: `layout`, `pages` and `zeros`, `opaque`, `end`; then gateway: `ack` |
 * | `memory-in` | gateway: the same items and `end`; then machine: `loaded` or `error` |
 *
 * `memory-out` with `"sendFree": true` sends the pages, too, that the machine calls free; else they
 * are left out. Without `"mayThrottleCpu": true` its stream refuses `memoryThrottle`.
 *
 * Call: `{ "id", "call", "params" }` and a body; answer `{ "id", "result" }` and a body, or
 * `{ "id", "error": { code, message, hint } }`. Event: `{ "event": "stopped" | "resumed" }`.
 *
 * Items are heads with bodies, numbers little-endian: `{ "item": "layout", pageBytes, lengthBytes }`;
 * `{ "item": "pages", count }` with `count` u32 page numbers and then as many pages;
 * `{ "item": "zeros" }` with pairs of u32, first page and number of pages; `{ "item": "opaque" }` with
 * the CPU state; `{ "item": "end" }`.
 *
 * Outgoing stream, as QEMU does it:
 *
 * ```
 * opened ── passes over dirty pages, paced by memoryBandwidth and by the reader ──┐
 *    memoryGate: at most two more passes, unpaced, then the machine pauses        │
 * at the gate, nothing is sent ──────────── memoryCancel, or connection lost ─────┤
 *    memoryFinish: dirty pages, CPU state, end; gateway: ack                      │
 * postmigrate: stands still until resume or quit          runs again, or stays paused
 * ```
 *
 * A lost connection has the same effect as `memoryCancel`, except at the gate: there the machine
 * stays paused until `memoryCancel`. A lost control connection has no effect at all.
 */
export const PROTOCOL_VERSION = 3;

export const SOCKET_NAME = "machine.sock";
export const PID_NAME = "machine.pid";
export const LOG_NAME = "machine.log";
export const CONFIGURATION_NAME = "machine.json";

/** Linux has 108 bytes for the path of a unix socket, its terminating zero included. */
export const SOCKET_PATH_BYTES_MAX = 107;

/** What the launcher writes to `machine.json` and the machine reads once. */
export interface MachineConfiguration {
  readonly role: "source" | "incoming";
  readonly memoryBytes: number;
  readonly disks: readonly {
    readonly id: string;
    readonly path: string;
    readonly sizeBytes: number;
  }[];
  readonly workload: ReferenceWorkload;
}

/** What a machine says about itself. */
export interface MachineDescription {
  readonly protocolVersion: number;
  readonly pid: number;
  readonly runState: Exclude<RunState, "gone">;
  readonly memoryBytes: number;
  readonly disks: MachineConfiguration["disks"];
  /** What the disks may grow to: free in the file system, and what they have taken already. */
  readonly roomBytes: number;
  readonly bitmaps: readonly string[];
  /** Ticks run since the machine's first start, at whatever site; null before it has a state. */
  readonly ticks: number | null;
}

/** Calls with what they take and give; bodies are named in the comments. */
export interface MachineCalls {
  describe: { params: Record<string, never>; result: MachineDescription };
  /** A machine in `postmigrate` becomes `paused`. */
  pause: { params: Record<string, never>; result: null };
  /** Runs on from `paused` (not at the gate) or `postmigrate`. */
  resume: { params: Record<string, never>; result: null };
  /** Starts a dirty bitmap of this name on every disk. */
  trackBegin: { params: { bitmap: string }; result: null };
  /**
   * In one instant: freezes bitmap `from` (with `full`, after setting all of it) and starts `to`.
   * Body: per disk in order u32 count, u32 zero, then per extent three f64: offset, length, 1 for
   * data or 0 for zero.
   */
  roundBegin: { params: { from: string; to: string; full: boolean }; result: null };
  /** Drops a disk's bitmap, after adding it to another where `mergeInto` names one. */
  roundEnd: { params: { disk: number; bitmap: string; mergeInto: string | null }; result: null };
  dirtyDisks: { params: { bitmap: string }; result: { diskId: string; bytes: number }[] };
  /** Caps what the machine writes to all disks together; null for no cap. */
  throttleDisks: { params: { bytesPerSecond: number | null }; result: null };
  /** Watches the machine; answered after the last window, and over then, whoever waits. */
  sample: { params: { windowsMs: readonly number[] }; result: DirtySample };
  /** Drops every bitmap whose name begins so. */
  trackEnd: { params: { prefix: string }; result: null };
  /** Body of the answer: where the disk may hold something, all of it, as in `roundBegin`. */
  diskContent: { params: { disk: number }; result: null };
  /** Body of the answer: the bytes. */
  diskRead: { params: { disk: number; offsetBytes: number; lengthBytes: number }; result: null };
  /** Body of the call: the bytes. */
  diskWrite: { params: { disk: number; offsetBytes: number }; result: null };
  diskZero: { params: { disk: number; offsetBytes: number; lengthBytes: number }; result: null };
  diskFlush: { params: Record<string, never>; result: null };
  /** Lets the gateway write the disks of an incoming machine. */
  disksOpen: { params: Record<string, never>; result: null };
  /** Flushes, ends the gateway's writing for good and starts a bitmap on every disk. */
  disksSeal: { params: { bitmap: string }; result: null };
  memoryProgress: {
    params: Record<string, never>;
    result: {
      totalBytes: number;
      remainingBytes: number;
      dirtyBytesPerSecond: number;
      pass: number;
      cpuThrottleShare: number | null;
    };
  };
  memoryBandwidth: { params: { bytesPerSecond: number }; result: null };
  /** Takes away a share of the machine's processor time until the stream is over. */
  memoryThrottle: { params: { share: number }; result: null };
  /** Answered at the gate. */
  memoryGate: { params: Record<string, never>; result: { pausedAgoMs: number } };
  /** Answered in `postmigrate`. */
  memoryFinish: { params: Record<string, never>; result: null };
  memoryCancel: { params: Record<string, never>; result: null };
  /** Ends the incoming stream and clears the memory. */
  memoryReset: { params: Record<string, never>; result: null };
  /** Runs a loaded machine whose disks are sealed; one that runs already is left alone. */
  start: { params: Record<string, never>; result: null };
  verify: { params: Record<string, never>; result: VerifyReport };
  /** Answered just before the process ends. */
  quit: { params: Record<string, never>; result: null };
}

/** Name of a call. */
export type CallName = keyof MachineCalls;
/** What a call takes. */
export type Params<K extends CallName> = MachineCalls[K]["params"];
/** What a call gives, beside its body. */
export type Result<K extends CallName> = MachineCalls[K]["result"];

/** Pages per `pages` item at most: 256 KiB of content. */
export const ITEM_PAGES_MAX = 64;
/** Ranges per `zeros` item at most. */
export const ITEM_RANGES_MAX = 4096;
/** Largest body of an item: pages with their numbers, or a CPU state with a long queue. */
export const ITEM_BYTES_MAX = 1024 * 1024;
