import { z } from "zod";
import { addressFields } from "./addresses.ts";
import { WORKLOAD_RATE_MAX } from "./workload_rate.ts";

const role = z.enum(["source", "incoming"]);

const diskTemplate = z.strictObject({
  id: z.string().min(1).max(64),
  path: z.string().min(1),
  format: z.enum(["raw", "qcow2"]),
  sizeMiB: z.number().int().positive(),
});

/** The workload of a reference guest; deterministic by `seed`. Rates are bytes per second. */
export const referenceWorkload = z.strictObject({
  seed: z.number().int().nonnegative().default(1),
  hotMiB: z.number().nonnegative().default(8),
  /** Share of page writes that may hit any page, not only the hot ones. */
  coldRatio: z.number().min(0).max(1).default(0.05),
  memoryBytesPerSecond: z.number().nonnegative().max(WORKLOAD_RATE_MAX).default(2_000_000),
  diskBytesPerSecond: z.number().nonnegative().max(WORKLOAD_RATE_MAX).default(500_000),
  /** Share of page rewrites that store what was there already. */
  silentRatio: z.number().min(0).max(1).default(0.2),
  /** Shares of the initial content; the rest is zero. */
  textRatio: z.number().min(0).max(1).default(0.4),
  randomRatio: z.number().min(0).max(1).default(0.2),
  /** Memory that the machine calls free, what it held still in it; other pages of it all the time. */
  freeMiB: z.number().nonnegative().default(0),
});
export type ReferenceWorkload = z.infer<typeof referenceWorkload>;

/** What `PUT /v1/guests/{id}` accepts (contract, HTTP). */
export const guestDefinition = z.union([
  z.strictObject({
    kind: z.literal("qemu"),
    role: role.default("source"),
    /** Path of a unix socket, or `tcp:HOST:PORT`. */
    qmp: z.string().min(1),
    /** The address that QEMU reaches the gateway by when it runs on another host. */
    data: z.string().optional(),
    ...addressFields,
  }),
  z.strictObject({
    kind: z.literal("qemu"),
    role: role.default("source"),
    launch: z.strictObject({ argv: z.array(z.string()).min(1), disks: z.array(diskTemplate) }),
    ...addressFields,
  }),
  z.strictObject({
    kind: z.literal("reference"),
    role: role.default("source"),
    memoryMiB: z.number().int().positive().max(65_536),
    disks: z.array(z.strictObject({ sizeMiB: z.number().int().positive() })).default([]),
    workload: referenceWorkload.default(referenceWorkload.parse({})),
    ...addressFields,
  }),
]);
export type GuestDefinition = z.infer<typeof guestDefinition>;
export type GuestRole = z.infer<typeof role>;
