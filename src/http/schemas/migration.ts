import { z } from "@hono/zod-openapi";
import { migrationOptions } from "../../migration/options.ts";
import type { MigrationReport } from "../../migration/report.ts";
import { reportFields } from "../../migration/report_form.ts";
import { guestId } from "./path.ts";

/** The contract's report of a migration. */
export const migrationReport: z.ZodType<MigrationReport> = z.object(reportFields)
  .openapi("Migration");

/** Body of `POST /v1/migrations`. */
export const migrationRequest = z.strictObject({
  guest: guestId,
  /** Name of the peer that the machine goes to. */
  to: z.string().min(1).max(64),
  ...migrationOptions.shape,
});

const { rate, maxDowntimeMs } = migrationOptions.shape;

/** Body of `PATCH /v1/migrations/{id}`. */
export const migrationChange = z.strictObject({
  rate: rate.unwrap().optional(),
  maxDowntimeMs: maxDowntimeMs.unwrap().optional(),
}).refine((change) => Object.keys(change).length > 0, "at least one of rate, maxDowntimeMs");

/** Body of `POST /v1/migrations/{id}/adjudicate`. */
export const adjudication = z.strictObject({
  /** Site that may run the machine from now on. */
  owner: z.string().min(1).max(64),
  reason: z.string().trim().min(1).max(1_000),
  /** Decide although the other side could be asked. */
  force: z.boolean().default(false),
  /** Who decides; recorded with the reason. */
  by: z.string().trim().min(1).max(200).default("API token"),
});

export const deletedLeftovers = z.object({ deleted: z.array(z.string()) });
