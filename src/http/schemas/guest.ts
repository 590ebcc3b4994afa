import { z } from "@hono/zod-openapi";
import type { GuestView } from "../../gateway/service.ts";
import { guestDefinition } from "../../guest/definition.ts";

const ownership = z.object({
  guestId: z.string(),
  epoch: z.number().int(),
  owner: z.string().nullable(),
  migrationId: z.string().nullable(),
  decidedBy: z.string(),
  reason: z.string(),
  decidedAt: z.string(),
});

const runState = z.enum(["running", "paused", "incoming", "postmigrate", "gone"]);

const description = z.object({
  kind: z.enum(["qemu", "reference"]),
  version: z.string(),
  machineType: z.string().nullable(),
  cpuModel: z.string().nullable(),
  memoryBytes: z.number(),
  runState,
  disks: z.array(z.object({
    id: z.string(),
    sizeBytes: z.number(),
    allocatedBytes: z.number().nullable(),
    format: z.string(),
    readOnly: z.boolean(),
    path: z.string().nullable(),
  })).readonly(),
  devices: z.array(z.string()).readonly(),
  canHoldSwitchover: z.boolean(),
});

export { guestDefinition };

/** A registered machine as the API shows it. */
export const guestView: z.ZodType<GuestView> = z.object({
  id: z.string(),
  kind: z.enum(["qemu", "reference"]),
  role: z.enum(["source", "incoming"]),
  owner: z.string().nullable(),
  epoch: z.number().int(),
  runState: z.string(),
  description: description.nullable(),
  definition: guestDefinition,
  migration: z.string().nullable(),
  history: z.array(ownership),
}).openapi("Guest");

/** What a machine's check of itself found; the fields besides `ok` depend on its kind. */
export const verification = z.looseObject({ ok: z.boolean() }).openapi("Verification");
