import { z } from "@hono/zod-openapi";
import type { PeerView, Plan } from "../../gateway/service.ts";
import { linkRate } from "../../migration/control/wishes.ts";
import { guestId } from "./path.ts";
import { errorNote } from "./problem.ts";

const measured = z.number().nullable();

const path = z.object({
  roundTripMs: measured,
  minRoundTripMs: measured,
  bottleneckBytesPerSecond: measured,
  goodputBytesPerSecond: measured,
  lossRatio: measured,
  queueMs: measured.openapi({
    description: "Queueing delay on the way to the peer: ms above the least of the last minutes, " +
      "whoever's bytes wait there",
  }),
  jitterMs: measured.openapi({ description: "Mean deviation of the delay on the way to the peer" }),
  silentMs: measured,
});

/** A trusted peer and the link to it. */
export const peerView: z.ZodType<PeerView> = z.object({
  name: z.string(),
  address: z.string().nullable(),
  fingerprint: z.string(),
  state: z.enum(["up", "down"]),
  path,
  rate: linkRate.meta({ description: "Cap over all that goes there, as it was wished" }),
  rateBytesPerSecond: z.number().nullable().openapi({
    description: "The cap in force now; null: none",
  }),
  resentBytes: z.number().openapi({
    description: "Payload bytes that were sent again since the gateway started: what outages cost",
  }),
  clockOffsetMs: z.number().nullable().openapi({
    description: "The peer's wall clock less this site's; null before the peer has told",
  }),
  lastError: errorNote.nullable(),
}).openapi("Peer");

/** Body of `PATCH /v1/peers/{name}`. */
export const peerChange = z.strictObject({
  rate: linkRate.meta({
    description: "Bytes per second at most over all that goes there, or a schedule of that by " +
      "time of day in UTC; null: no cap. Until the gateway ends: limits.linkBytesPerSecond of the " +
      "configuration holds after its next start",
  }),
});

/** Body of `POST /v1/plan`. */
export const planRequest = z.strictObject({ guest: guestId, to: z.string().min(1).max(64) });

const bounds = z.object({ low: z.number(), expected: z.number(), high: z.number() });
const range = bounds.nullable();

/** A forecast. */
export const plan: z.ZodType<Plan> = z.object({
  guest: z.string(),
  to: z.string(),
  path,
  findings: z.array(errorNote.extend({ severity: z.string() })),
  rate: z.object({ source: z.enum(["measured", "assumed"]), bytesPerSecond: bounds }),
  strategies: z.array(z.object({
    strategy: z.string(),
    totalMs: range,
    wireBytes: range,
    downtimeMs: range,
    fits: z.boolean().nullable(),
    remarks: z.array(z.string()),
  })),
}).openapi("Plan");
