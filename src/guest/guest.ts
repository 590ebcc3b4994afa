import type { Extent } from "../core/extents.ts";
import type { DirtySample, SampleOptions } from "./dirty_sample.ts";
import type { MemoryItem } from "./memory_items.ts";

/**
 * One machine on this site's LAN, as the migration actors see it. Two kinds implement it, QEMU
 * (`src/qemu/`) and the embedded reference guest (`src/guest/reference/`); `src/testing/guest_suite.ts`
 * runs the same cases against both.
 *
 * Every method may throw `GatewayError`: `guest_gone` when the machine has ended,
 * `guest_unreachable` when its control socket is lost while its process may live.
 */
export interface Guest {
  readonly kind: "qemu" | "reference";
  describe(): Promise<GuestDescription>;
  runState(): Promise<RunState>;
  /**
   * Watches how fast the machine changes, for a forecast: nothing of it is changed, paused or slowed.
   * One watch at a time: another one waits for it.
   *
   * @throws {GatewayError} `guest_state` for a machine whose memory is not here
   */
  sampleDirtyRate(options: SampleOptions): Promise<DirtySample>;
  /** Calls `listener` for each event until the returned function is called. */
  onEvent(listener: (event: GuestEvent) => void): () => void;
  readonly source: SourceSide;
  readonly destination: DestinationSide;
  /** Lets go of the machine and of every socket to it; the machine goes on. */
  detach(): Promise<void>;
  /** Ends the machine and waits until it is gone. */
  end(): Promise<void>;
}

/** `incoming` waits for a memory stream; `postmigrate` has given its state away and stands still. */
export type RunState = "running" | "paused" | "incoming" | "postmigrate" | "gone";

/** What a machine's driver tells; `atMs` is the gateway's monotonic clock. */
export type GuestEvent =
  | { readonly kind: "stopped"; readonly atMs: number }
  | { readonly kind: "resumed"; readonly atMs: number }
  /** The machine ended by itself or was killed; `guestInitiated` when it powered itself off. */
  | { readonly kind: "gone"; readonly atMs: number; readonly guestInitiated: boolean }
  | { readonly kind: "log"; readonly level: "info" | "warn"; readonly message: string };

/** What two sides must agree on before anything moves; plain JSON, it crosses the link. */
export interface GuestDescription {
  readonly kind: "qemu" | "reference";
  /** Version of the hypervisor, such as `10.0.2`. */
  readonly version: string;
  /** Machine type such as `pc-i440fx-10.0`; null where the kind has none. */
  readonly machineType: string | null;
  /**
   * The processor: its name, and its features as far as the kind can list them. Null where it has
   * none, or is of an older gateway.
   */
  readonly cpuModel: string | null;
  readonly memoryBytes: number;
  readonly runState: RunState;
  readonly disks: readonly DiskDescription[];
  /** Ids (or QOM paths) of the devices that carry state, sorted. */
  readonly devices: readonly string[];
  /** True where the source can be held at the switchover (QEMU 8.1 or later). */
  readonly canHoldSwitchover: boolean;
}

/** A medium in a device of the machine. */
export interface DiskDescription {
  /** Device id: what matches a disk to its counterpart at the other site. */
  readonly id: string;
  readonly sizeBytes: number;
  /** What the image takes on its storage, backing images included; null where that is unknown. */
  readonly allocatedBytes: number | null;
  readonly format: string;
  readonly readOnly: boolean;
  /** Path of the image on the machine's host, where known. */
  readonly path: string | null;
}

/** A finding of the preflight. `refusal` stops the move before anything is touched. */
export interface Finding {
  readonly severity: "refusal" | "warning";
  /** An error code of `src/core/error_codes.ts`. */
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** Options of one move that its machine's driver has to know. */
export interface MoveOptions {
  /** Where the driver may put sockets and temporary files; removed by `restore` or `abandon`. */
  readonly scratchDirectory: string;
  /**
   * Facts that must survive a crash of the gateway (values found before, names of bitmaps and
   * exports made). Resolves when durable; called before the effect that it describes.
   */
  remember(notes: Record<string, unknown>): Promise<void>;
  /**
   * Pages that the machine itself calls free travel like others, where its kind can do that. Default
   * false: what its driver or hypervisor leaves out stays out.
   */
  readonly sendFree?: boolean;
  /**
   * `throttleCpu` of its memory streams may be called. Without it the machine keeps all of its
   * processor time, whatever its hypervisor would do by itself.
   */
  readonly mayThrottleCpu?: boolean;
}

/** What a preflight has to know of a move beside its two machines. */
export interface PreflightOptions extends Pick<MoveOptions, "sendFree"> {
  /** The move may hold back what the machine writes to its disks. */
  readonly mayThrottleDisks?: boolean;
}

/** The machine where it runs now. Call order: preflight, begin, rounds and memory, then one ending. */
export interface SourceSide {
  /**
   * Findings on this machine alone, against its counterpart's description, and on what this move asks
   * of it. Touches nothing.
   */
  preflight(counterpart: GuestDescription, options?: PreflightOptions): Promise<Finding[]>;
  /** Starts tracking disk writes; from here `restore` must be called to undo. */
  begin(options: MoveOptions): Promise<void>;

  /**
   * Starts one disk round over all writable disks at once: round 1 holds the allocated extents,
   * later ones what was written since the round before began. No write falls between two rounds.
   * Read-only disks that must travel are part of round 1 only.
   */
  beginDiskRound(): Promise<DiskRound[]>;
  /**
   * What was written to each writable disk since the present round began: the backlog of the next
   * one. With what waits for the cap of `throttleDisks` and would be written at once when the machine
   * pauses.
   */
  dirtyDisks(): Promise<DirtyDisk[]>;
  /**
   * Caps what the machine itself writes to all of its disks together, from now on; null takes the
   * cap away. Reading is not capped, nor is what the gateway reads for a round. Whatever limits the
   * machine had hold on beside it; `restore` and `retire` leave it with exactly these.
   *
   * A pause is not held up: what waits for the cap is written first, at full speed, however much that
   * is (15 MB were seen of a guest that writes through its page cache).
   *
   * @throws {GatewayError} `throttle_not_possible`, with no cap left in place
   */
  throttleDisks(bytesPerSecond: number | null): Promise<void>;

  /**
   * Starts the memory stream. One at a time; after `cancel` of the stream a new one may start.
   */
  startMemory(): Promise<MemorySource>;

  /** Pauses the machine outside of a memory stream (stop-and-copy); a paused one stays paused. */
  pause(): Promise<void>;
  /** Runs the machine again after `pause`. */
  resume(): Promise<void>;

  /**
   * The machine runs on here (or stays paused if it was found so): undoes everything that `begin`
   * and later calls changed: bitmaps, exports, capabilities, parameters, files. Idempotent; also
   * called with a fresh attachment after a crash of the gateway, then with the remembered `notes`.
   */
  restore(notes: Record<string, unknown>, options: MoveOptions): Promise<void>;
  /** The machine runs at the other site: ends this one, or leaves it in `postmigrate`. */
  retire(keep: boolean): Promise<void>;
}

/** How much of a disk is written and not sent. */
export interface DirtyDisk {
  readonly diskId: string;
  readonly bytes: number;
}

/** One disk's share of a round. Reads may overlap; `finish` after the last of them. */
export interface DiskRound {
  readonly diskId: string;
  /** Sorted, not overlapping. Zero extents must be made zero at the destination, too. */
  readonly extents: readonly Extent[];
  /** Reads into `into` (its length is the number of bytes); live data is fine in every round. */
  read(offsetBytes: number, into: Uint8Array): Promise<void>;
  /**
   * `kept`: the destination has recorded the round durably, its tracking can go. Otherwise its
   * extents join the next round, so that nothing is lost.
   */
  finish(kept: boolean): Promise<void>;
}

/** A running memory stream. Its reader is the only back-pressure: not reading slows the machine's passes. */
export interface MemorySource {
  /**
   * Items in order, in small groups; contents of pages are valid until the next group is asked for.
   * Ends after the last item of the device state. Throws
   * `memory_stream_failed` when the machine gave up, and ends silently after `cancel`.
   */
  items(): AsyncIterable<MemoryItem[]>;
  /** What is still dirty and how fast it gets dirty, by the machine's own account. */
  progress(): Promise<MemoryProgress>;
  /**
   * Upper bound of what the machine sends while it is held. The driver adds what its kind needs
   * (QEMU spins over a clean memory at full bandwidth).
   */
  setBandwidth(bytesPerSecond: number): Promise<void>;
  /**
   * Takes this share of its processor time (0 to 0.99) away from the machine, so that it dirties less.
   * Within a stream it can only rise, a lower share than before changes nothing; it ends with the
   * stream. Resolves when asked for. QEMU obeys at the second look that finds dirty memory; it looks
   * where a pass ends, at most once a second, from 9.2 on also every 5 s, and never in the first pass.
   *
   * @throws {GatewayError} `throttle_not_possible` in a move without `mayThrottleCpu`
   */
  throttleCpu(share: number): Promise<void>;
  /**
   * Releases the hold: the machine pauses as soon as it can and stays at the gate, with nothing
   * more sent, until `finish` or `cancel`. Items must be read on meanwhile.
   *
   * @returns the source clock (monotonic ms) of the pause
   */
  pauseAtGate(): Promise<{ pausedAtMs: number }>;
  /** Lets the rest through: last pages and device state. Resolves when the source is `postmigrate`. */
  finish(): Promise<void>;
  /** Ends the stream; the machine runs (or stays paused, if it was found so) here. Idempotent. */
  cancel(): Promise<void>;
}

/** How far a memory stream is, by the machine's own account. */
export interface MemoryProgress {
  readonly totalBytes: number;
  readonly remainingBytes: number;
  readonly dirtyBytesPerSecond: number;
  /** Passes begun over the memory; 1 during the first. */
  readonly pass: number;
  /** Of its processor time, what the machine has not now; null in a move without `mayThrottleCpu`. */
  readonly cpuThrottleShare: number | null;
}

/**
 * The machine where it will run. Call order: prepare, then disks and memory side by side, then
 * `load`, `sealDisks`, `start`; or `abandon` at any time before `start`.
 */
export interface DestinationSide {
  /** Findings about this side's images and room, before anything is written. */
  preflight(counterpart: GuestDescription): Promise<Finding[]>;
  /**
   * Makes the disks writable for the gateway alone and the machine arrive paused and silent
   * (design section 3 rule 3a).
   */
  prepare(options: MoveOptions): Promise<void>;
  /**
   * Where a disk holds something, from `prepare` until `sealDisks`: sorted, without gaps, all of the
   * disk. What is `zero` reads as zeroes; `data` may do so as well.
   */
  diskContent(diskId: string): Promise<readonly Extent[]>;
  /** Reads into `into` (its length is the number of bytes); what was written before is seen. */
  readDisk(diskId: string, offsetBytes: number, into: Uint8Array): Promise<void>;
  /** Writes `bytes`; resolved does not mean durable before `flushDisks`. Throws `disk_full`, `disk_io`. */
  writeDisk(diskId: string, offsetBytes: number, bytes: Uint8Array): Promise<void>;
  zeroDisk(diskId: string, offsetBytes: number, lengthBytes: number): Promise<void>;
  /** Everything written so far is on stable storage when it resolves. */
  flushDisks(): Promise<void>;
  /** Feeds the memory stream; resolves when the machine's socket has accepted it (back-pressure). */
  writeMemory(items: readonly MemoryItem[]): Promise<void>;
  /**
   * The source began a new memory stream: drops the end of the one before, if it was fed. Pages that
   * were fed stay in the machine, because the new stream may leave them out.
   */
  resetMemory(): Promise<void>;
  /**
   * Flushes and closes the gateway's access to the disks and sees it closed: no export left, the
   * image open nowhere else; then adds a dirty bitmap to each disk for the way back.
   */
  sealDisks(): Promise<void>;
  /** Gives the stream its end and waits until the machine is loaded and paused. */
  load(): Promise<void>;
  /** Runs the loaded machine. The caller has written the ownership record before. */
  start(): Promise<void>;
  /** Ends the machine that was to run here and sees it gone; its disk files stay. Idempotent. */
  abandon(): Promise<void>;
}
