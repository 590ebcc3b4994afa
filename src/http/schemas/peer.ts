import { z } from "@hono/zod-openapi";
import type { PeerView } from "../../gateway/service.ts";
import { linkRate } from "../../migration/control/wishes.ts";
import { errorNote } from "./problem.ts";

const measured = z.number().nullable();

/** Present estimates of a link. */
export const pathMeasurement = z.object({
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
  carrier: z.object({
    kind: z.string().openapi({ description: "quic (UDP) or tls (TCP)" }),
    reason: z.string().openapi({ description: "Why the link goes over it" }),
    since: z.string(),
    congestionControl: z.string().nullable(),
  }).nullable().openapi({ description: "What carries the link; null while nothing does" }),
  path: pathMeasurement,
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
