import { z } from "@hono/zod-openapi";
import { CHANGEABLE, migrationOptions } from "../../migration/options.ts";
import type { MigrationReport } from "../../migration/report.ts";
import { reportFields } from "../../migration/report_form.ts";
import { guestId } from "./path.ts";

/** The contract's report of a migration. */
export const migrationReport: z.ZodType<MigrationReport> = z.object(reportFields)
  .openapi("Migration");

const { rollbackOf: _, ...wishes } = migrationOptions.shape;

/** Body of `POST /v1/migrations`. A move back is asked for with `rollback`. */
export const migrationRequest = z.strictObject({
  guest: guestId,
  /** Name of the peer that the machine goes to. */
  to: z.string().min(1).max(64),
  ...wishes,
});

const { shape } = migrationOptions;

/** Body of `PATCH /v1/migrations/{id}`: the same without defaults, for what is not named stays. */
export const migrationChange = z.strictObject({
  rate: shape.rate.unwrap().optional(),
  maxDowntimeMs: shape.maxDowntimeMs.unwrap().optional(),
  weight: shape.weight.unwrap().optional(),
  priority: shape.priority.unwrap().optional(),
  whenOver: shape.whenOver.unwrap().optional(),
  window: shape.window.unwrap().optional(),
  hold: shape.hold.unwrap().optional(),
  holdMemoryMs: shape.holdMemoryMs.unwrap().optional(),
}).refine((change) => Object.keys(change).length > 0, `at least one of ${CHANGEABLE.join(", ")}`);

/** Body of `POST /v1/migrations/{id}/answer`. */
export const questionAnswer = z.strictObject({
  accept: z.boolean().openapi({ description: "False: the next remedy of whenOver is tried" }),
  maxDowntimeMs: shape.maxDowntimeMs.unwrap().optional().meta({
    description: "The budget that is granted; without it, the one that was asked for",
  }),
}).refine(({ accept, maxDowntimeMs }) => accept || maxDowntimeMs === undefined, {
  path: ["maxDowntimeMs"],
  message: "a budget goes with accept: true",
});

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
