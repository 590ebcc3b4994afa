import { z } from "zod";
import { GatewayError } from "../core/errors.ts";
import type { QmpClient } from "./qmp/client.ts";

/**
 * The parts of QEMU's answers that the driver reads (QEMU QMP Reference Manual; checked on 7.2 and
 * 10.0). Members that nobody reads are ignored, every member that may be missing is optional.
 */
const count = z.number().int().nonnegative();

export const statusAnswer = z.object({ status: z.string(), running: z.boolean() });

export const memorySizeAnswer = z.object({
  "base-memory": count,
  "plugged-memory": count.optional(),
});

export const cpusAnswer = z.array(z.object({ "qom-path": z.string() }));

/** Memory that the machine was given; what is preallocated is taken already. */
export const memoryDevicesAnswer = z.array(z.object({ size: count, prealloc: z.boolean() }));

export const qomListAnswer = z.array(z.object({ name: z.string(), type: z.string() }));

const bitmap = z.object({
  name: z.string().optional(),
  count,
  granularity: count,
  recording: z.boolean().optional(),
  busy: z.boolean().optional(),
  persistent: z.boolean().optional(),
});
export type BitmapAnswer = z.infer<typeof bitmap>;

const image = z.object({
  "virtual-size": count,
  "actual-size": count.optional(),
  filename: z.string(),
  snapshots: z.array(z.object({ name: z.string() })).optional(),
  get "backing-image"() {
    return image.optional();
  },
});
export type ImageAnswer = z.infer<typeof image>;

/**
 * Limits of a drive's I/O, as `query-block` shows and `block_set_io_throttle` takes them: 0 is none.
 * Bursts, their lengths (s) and the group are there only where they are set.
 */
export const ioLimits = z.object({
  bps: count.default(0),
  bps_rd: count.default(0),
  bps_wr: count.default(0),
  iops: count.default(0),
  iops_rd: count.default(0),
  iops_wr: count.default(0),
  bps_max: count.optional(),
  bps_rd_max: count.optional(),
  bps_wr_max: count.optional(),
  iops_max: count.optional(),
  iops_rd_max: count.optional(),
  iops_wr_max: count.optional(),
  bps_max_length: count.optional(),
  bps_rd_max_length: count.optional(),
  bps_wr_max_length: count.optional(),
  iops_max_length: count.optional(),
  iops_rd_max_length: count.optional(),
  iops_wr_max_length: count.optional(),
  iops_size: count.optional(),
  group: z.string().optional(),
});
export type IoLimits = z.infer<typeof ioLimits>;

const inserted = z.object({
  ...ioLimits.shape,
  "node-name": z.string().optional(),
  drv: z.string(),
  ro: z.boolean(),
  file: z.string(),
  image,
  "dirty-bitmaps": z.array(bitmap).optional(),
});

export const queryBlockAnswer = z.array(z.object({
  device: z.string(),
  qdev: z.string().optional(),
  removable: z.boolean(),
  inserted: inserted.optional(),
}));
export type BlockAnswer = z.infer<typeof queryBlockAnswer>[number];

export const blockStatsAnswer = z.array(z.object({
  "node-name": z.string().optional(),
  qdev: z.string().optional(),
  device: z.string().optional(),
  stats: z.object({ wr_bytes: count, wr_operations: count }),
}));

/** Of `x-query-virtio-queue-status` (7.2): requests that the guest gave and has not got back. */
export const virtioQueueAnswer = z.object({ inuse: count });

export const namedNodesAnswer = z.array(z.object({
  "node-name": z.string().optional(),
  "dirty-bitmaps": z.array(bitmap).optional(),
}));

export const exportsAnswer = z.array(z.object({
  id: z.string(),
  "node-name": z.string(),
  "shutting-down": z.boolean().optional(),
}));

export const capabilitiesAnswer = z.array(
  z.object({ capability: z.string(), state: z.boolean() }),
);

export const parametersAnswer = z.record(z.string(), z.unknown());

const tcpAddress = z.object({ type: z.literal("inet"), host: z.string(), port: z.string() });

/** What QEMU could cut off at a word; a migration is among it until all of it is over. */
export const yankAnswer = z.array(z.object({ type: z.string() }));

export const migrateAnswer = z.object({
  status: z.string().optional(),
  "error-desc": z.string().optional(),
  "cpu-throttle-percentage": count.optional(),
  "blocked-reasons": z.array(z.string()).optional(),
  "socket-address": z.array(z.union([tcpAddress, z.object({ type: z.string() })])).optional(),
  ram: z.object({
    remaining: count,
    total: count,
    transferred: count,
    "page-size": count.optional(),
    "dirty-sync-count": count,
    "dirty-pages-rate": count.optional(),
  }).optional(),
});
export type MigrateAnswer = z.infer<typeof migrateAnswer>;

/**
 * Executes a command and reads its answer as `schema`.
 *
 * @throws {GatewayError} `qmp_protocol` for another shape, and what `execute` throws
 */
export async function ask<T>(
  qmp: QmpClient,
  command: string,
  schema: z.ZodType<T>,
  args?: Record<string, unknown>,
): Promise<T> {
  const answer = await qmp.execute(command, args);
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new GatewayError(
    "qmp_protocol",
    `Cannot read the answer to ${command}: ${issue.path.join(".")}: ${issue.message}`,
    { hint: `Report this with the QEMU version (${qmp.version})` },
  );
}
