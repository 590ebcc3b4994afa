import { z } from "zod";
import { BLOCK_NAME_BYTES_MAX, LAYOUT_BLOCKS_MAX } from "../codec/memory_layout.ts";
import { GatewayError } from "../core/errors.ts";
import { offeredOptions } from "./offered_options.ts";
import { shownReport } from "./report_form.ts";

/**
 * Messages of a migration's control channel: JSON, UTF-8, one for each frame. They are rare; what is
 * frequent travels in the binary batches of `src/codec/`.
 */
const error = z.object({
  code: z.string().max(64),
  message: z.string().max(4096),
  hint: z.string().max(4096),
});
const epoch = z.number().int().nonnegative();
const sequence = z.number().int().nonnegative();

const disk = z.object({
  id: z.string().min(1).max(256),
  sizeBytes: z.number().int().nonnegative(),
  allocatedBytes: z.number().int().nonnegative().nullable().default(null),
  format: z.string().max(32),
  readOnly: z.boolean(),
  path: z.string().max(4096).nullable(),
});
const description = z.object({
  kind: z.enum(["qemu", "reference"]),
  version: z.string().max(64),
  machineType: z.string().max(128).nullable(),
  cpuModel: z.string().max(4096).nullable().default(null),
  memoryBytes: z.number().int().nonnegative(),
  runState: z.enum(["running", "paused", "incoming", "postmigrate", "gone"]),
  disks: z.array(disk).max(256).readonly(),
  devices: z.array(z.string().max(512)).max(4096).readonly(),
  canHoldSwitchover: z.boolean(),
});
/** As `Layout` of `src/codec/memory_layout.ts`. */
const memoryLayout = z.object({
  pageBytes: z.number().int().positive(),
  section: z.number().int().nonnegative(),
  blocks: z.array(z.object({
    name: z.string().max(BLOCK_NAME_BYTES_MAX),
    lengthBytes: z.number().int().nonnegative(),
  })).max(LAYOUT_BLOCKS_MAX).readonly(),
});
const finding = z.object({
  severity: z.enum(["refusal", "warning"]),
  code: z.string().max(64),
  message: z.string().max(4096),
  hint: z.string().max(4096),
});

/** An operator gave the machine to `owner` (a site name) with a higher epoch: that ends every doubt. */
const adjudicated = z.object({
  type: z.literal("adjudicated"),
  guest: z.string().min(1).max(128),
  epoch,
  owner: z.string().max(128),
  by: z.string().max(256),
  reason: z.string().max(4096),
});
/** What either site's operator has decided, as it is told to the other one. */
export type Adjudicated = z.infer<typeof adjudicated>;

/** Reason of a cancel that ends a seeding run. */
export const SEEDED = "seeded";

export const toDestination = z.discriminatedUnion("type", [
  /** `epoch` is the source's present one; the hand-over will carry the next. */
  z.object({
    type: z.literal("offer"),
    guest: z.string().min(1).max(128),
    epoch,
    options: offeredOptions,
    description,
    /** Addresses whose packets are to be carried between the sites; null: none. */
    redirect: z.object({
      ips: z.array(z.string().max(64)).max(64).readonly(),
      carrying: z.enum(["kernel", "tunnel"]),
    }).nullable().default(null),
  }),
  /** Asks what would be found for such an offer, and what is there already. No move begins by it. */
  z.object({ type: z.literal("plan"), guest: z.string().min(1).max(128), epoch, description }),
  /** `warm`: the source takes an offer of memory that is at the destination from before. */
  z.object({ type: z.literal("begin"), warm: z.boolean().default(false) }),
  z.object({
    type: z.literal("handover"),
    epoch,
    lastSequences: z.object({ memory: sequence, disk: sequence }),
    run: z.boolean(),
  }),
  /**
   * Before any handover: the source keeps the machine. `error` is null where it was cancelled, or
   * where all that was to be copied is there (reason `SEEDED`).
   */
  z.object({
    type: z.literal("cancel"),
    reason: z.string().max(4096),
    error: error.nullable().default(null),
  }),
  /**
   * Asks how the hand-over of `epoch` ended. `framesGone` says that the source cannot send its
   * missing frames any more: what is not complete has to be refused.
   */
  z.object({
    type: z.literal("query"),
    guest: z.string().min(1).max(128),
    epoch,
    framesGone: z.boolean(),
  }),
  /** Decided at the source. */
  adjudicated,
  /** The answer to a `repair`: what the memory channel carries until its reset is void. */
  z.object({ type: z.literal("repairing"), number: z.number().int().positive() }),
  /**
   * On a channel of its own: the operator of the site that `migration` left wants the machine back
   * as it is now. Answered by `rollbackBegan` or `rollbackRefused`.
   */
  z.object({
    type: z.literal("rollback"),
    guest: z.string().min(1).max(128),
    migration: z.string().max(64),
  }),
  /** The report as the source sees it, for the peer's API: shown, never acted on. */
  z.object({
    type: z.literal("report"),
    report: z.record(z.string(), z.unknown()).transform(shownReport),
  }),
]);
export type ToDestination = z.infer<typeof toDestination>;

/** What is at the destination before a move; see `Held`. */
const held = z.object({
  memoryBytes: z.number().nonnegative(),
  disks: z.array(z.object({
    id: z.string().min(1).max(256),
    bytes: z.number().nonnegative(),
    isKnown: z.boolean(),
  })).max(256).readonly(),
  storeBytes: z.number().nonnegative(),
});

export const toSource = z.discriminatedUnion("type", [
  z.object({ type: z.literal("accepted"), description, findings: z.array(finding).max(256) }),
  /**
   * `image` is what the source may refer to (`src/image/page_memory.ts`), `store` what it may name
   * (`store.ts`): `storeOffer` frames follow then. Null: nothing. `warm` is the layout of memory that
   * is here from before: an offer follows on the memory channel, and the source begins with memory
   * behind its end.
   */
  z.object({
    type: z.literal("prepared"),
    image: z.object({ bytesMax: z.number().int().nonnegative(), spills: z.boolean() })
      .nullable().default(null),
    warm: memoryLayout.nullable().default(null),
    /** `diskOffer` frames follow on the disk channel, and round 1 of the disks waits for their end. */
    diskOffer: z.boolean().default(false),
    store: z.object({ bytesMax: z.number().int().nonnegative(), keepsMemory: z.boolean() })
      .nullable().default(null),
  }),
  z.object({ type: z.literal("roundRecorded"), round: z.number().int().positive() }),
  /** Answer to an offer: nothing was touched. `epoch` and `owner` are this site's own record. */
  z.object({
    type: z.literal("rejected"),
    error,
    epoch: epoch.nullable(),
    owner: z.string().max(128).nullable(),
  }),
  /** Answer to a `plan`; what stands in its way at once is a `rejected` as for an offer. */
  z.object({
    type: z.literal("planned"),
    description,
    findings: z.array(finding).max(256),
    availableMemoryBytes: z.number().nonnegative().nullable(),
    held,
  }),
  /** Asks a source that may have forgotten (restart) whether this move goes on. */
  z.object({ type: z.literal("waiting") }),
  z.object({ type: z.literal("running"), epoch, loadMs: z.number().nonnegative().nullable() }),
  z.object({ type: z.literal("refused"), epoch, error }),
  /**
   * A batch led to other pages than the source had. Frames of the memory channel from `sequence` on
   * are not applied until the source begins a new stream; `number` counts the repairs of a move.
   */
  z.object({
    type: z.literal("repair"),
    number: z.number().int().positive(),
    sequence: z.number().int().positive(),
  }),
  /** Decided at the destination, which has stopped its machine before where it gave it away. */
  adjudicated,
  /** `migration` is the move back, which has begun. */
  z.object({ type: z.literal("rollbackBegan"), migration: z.string().max(64) }),
  z.object({ type: z.literal("rollbackRefused"), error }),
  /** Asked while the take-over is still going on; `problem` where only an operator can end it. */
  z.object({ type: z.literal("pending"), epoch, problem: z.string().max(4096).optional() }),
]);
export type ToSource = z.infer<typeof toSource>;

/** Of a migration that a site has no record of, either end may speak. */
export const toEither = z.union([toDestination, toSource]);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** One control message as a frame's payload. */
export function encodeMessage(message: ToDestination | ToSource): Uint8Array {
  return encoder.encode(JSON.stringify(message));
}

/**
 * Reads a frame's payload as a message of one direction.
 *
 * @throws {GatewayError} `frame_invalid`: not JSON, or not a message of this direction
 */
export function decodeMessage<T>(schema: z.ZodType<T>, payload: Uint8Array): T {
  let json: unknown;
  try {
    json = JSON.parse(decoder.decode(payload));
  } catch (cause) {
    throw invalid("it is not JSON", cause);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error), parsed.error);
  return parsed.data;
}

function invalid(why: string, cause: unknown): GatewayError {
  return new GatewayError("frame_invalid", `Cannot read a message of the peer: ${why}`, {
    hint: "Check that both gateways run the same version",
    cause,
  });
}
