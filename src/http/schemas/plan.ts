import { z } from "@hono/zod-openapi";
import { type Plan, PLAN_OUTCOMES } from "../../gateway/plan/report.ts";
import { SAMPLE_SECONDS_MAX } from "../../guest/dirty_sample.ts";
import { REMEDIES } from "../../migration/control/wishes.ts";
import { migrationOptions } from "../../migration/options.ts";
import { STRATEGIES } from "../../migration/report.ts";
import { guestId } from "./path.ts";
import { pathMeasurement } from "./peer.ts";
import { errorNote } from "./problem.ts";

const SECONDS_DEFAULT = 4;
const { strategy, maxDowntimeMs, rate, whenOver } = migrationOptions.shape;

/** Body of `POST /v1/plan`. */
export const planRequest = z.strictObject({
  guest: guestId,
  to: z.string().min(1).max(64),
  seconds: z.number().int().min(1).max(SAMPLE_SECONDS_MAX).meta({
    description: "How long the machine is watched; the answer takes as long",
  }).default(SECONDS_DEFAULT),
  strategy: strategy.unwrap().optional().meta({
    description: "Only this one; without it, all that move the machine",
  }),
  maxDowntimeMs,
  rate,
  whenOver,
});

const bounds = z.object({ low: z.number(), expected: z.number(), high: z.number() });
const open = z.number().nullable();
const openRange = z.object({ low: z.number(), expected: open, high: open }).nullable().openapi({
  description: "In the best, the expected and the worst case; null: it has no end there",
});
const measured = z.number().nullable();
const outcome = z.enum(PLAN_OUTCOMES);

const probe = z.object({
  source: z.enum(["filler", "moves"]),
  seconds: z.number(),
  sentBytes: z.number(),
  isSettled: z.boolean(),
  bottleneckBytesPerSecond: measured,
  goodputBytesPerSecond: measured,
  goodputRange: z.object({ low: z.number(), high: z.number() }).nullable(),
  roundTripMs: measured,
  minRoundTripMs: measured,
  jitterMs: measured,
  lossRatio: measured,
}).openapi({
  description:
    "What the path carried for bytes without meaning (filler), or of moves that are on " +
    "it; unless it settled, it may carry more",
});

const sample = z.object({
  memory: z.object({
    windows: z.array(z.object({ ms: z.number(), distinctBytes: z.number() })).readonly(),
    zeroShare: measured,
    wireRatio: measured,
    rewriteRatio: measured,
  }),
  disks: z.array(z.object({
    id: z.string(),
    writtenBytesPerSecond: z.number(),
    distinctBytes: measured,
    ms: z.number(),
  })).readonly(),
}).openapi({
  description:
    "What the machine wrote while it was watched, each place counted once in a window, " +
    "and what its pages take on the wire: of a first copy, and of pages that changed",
});

const destination = z.object({
  description: z.object({
    kind: z.enum(["qemu", "reference"]),
    version: z.string(),
    machineType: z.string().nullable(),
    cpuModel: z.string().nullable(),
    memoryBytes: z.number(),
    runState: z.enum(["running", "paused", "incoming", "postmigrate", "gone"]),
    disks: z.array(z.object({
      id: z.string(),
      sizeBytes: z.number(),
      allocatedBytes: measured,
      format: z.string(),
      readOnly: z.boolean(),
      path: z.string().nullable(),
    })).readonly(),
    devices: z.array(z.string()).readonly(),
    canHoldSwitchover: z.boolean(),
  }),
  availableMemoryBytes: measured.openapi({ description: "Of the host, without swapping" }),
  held: z.object({
    memoryBytes: z.number(),
    disks: z.array(z.object({ id: z.string(), bytes: z.number(), isKnown: z.boolean() }))
      .readonly(),
    storeBytes: z.number(),
  }).openapi({
    description:
      "What is there already: of this memory from an earlier move, in images (isKnown: " +
      "as an earlier move has left them), and contents of any machine that came from this site",
  }),
});

/** A forecast. */
export const plan: z.ZodType<Plan> = z.object({
  guest: z.string(),
  to: z.string(),
  path: pathMeasurement,
  probe: probe.nullable(),
  sample: sample.nullable(),
  destination: destination.nullable().openapi({
    description: "What the peer said of its side; null: it could not be asked, or refuses the move",
  }),
  findings: z.array(errorNote.extend({ severity: z.string() })).openapi({
    description: "Of both sites: what a move would be refused for, and what it is warned of",
  }),
  rate: z.object({
    source: z.enum(["probed", "measured", "assumed"]),
    bytesPerSecond: bounds,
  }),
  strategies: z.array(z.object({
    strategy: z.enum(STRATEGIES),
    whenOver: z.array(z.enum(REMEDIES)),
    totalMs: openRange,
    wireBytes: openRange,
    downtimeMs: openRange,
    fits: z.boolean().nullable().openapi({
      description:
        "True: the pause fits maxDowntimeMs in every case. False: not in the expected one",
    }),
    outcome: z.object({ low: outcome, expected: outcome, high: outcome }),
    reason: z.string().openapi({ description: "Of how the expected case ends" }),
    budgetMs: z.number().openapi({
      description: "What the expected case switches with: more than maxDowntimeMs where it asks",
    }),
    throttle: z.object({ diskBytesPerSecond: measured, cpuShare: measured }).openapi({
      description: "What the expected case takes from the machine so that it writes less",
    }),
    remarks: z.array(z.string()),
  })).openapi({
    description:
      "The strategy that was asked for, or precopy, with the remedies that are wished; " +
      "then, where that is not sure to fit, with each other remedy; then the other strategies",
  }),
  changes: z.array(z.object({
    change: z.string(),
    text: z.string(),
    outcome,
    totalMs: measured,
    wireBytes: measured,
    downtimeMs: measured,
  })).openapi({
    description: "What the expected case of the first strategy would become if one thing were " +
      "different: found by the same model",
  }),
}).openapi("Plan");
