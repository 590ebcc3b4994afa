import assert from "node:assert/strict";
import { z } from "zod";
import type { RatePolicy } from "./control/wishes.ts";
import { offeredOptions, toOffered } from "./offered_options.ts";
import { migrationOptions } from "./options.ts";

/** The options of an offer as gateways before policies read them; what is not named they dropped. */
const optionsBeforePolicies = z.object({
  strategy: z.enum(["precopy", "stop-and-copy"]).default("precopy"),
  maxDowntimeMs: z.number().int().min(1).max(86_400_000).default(300),
  hold: z.boolean().default(false),
  rate: z.number().int().positive().nullable().default(null),
  handover: z.enum(["fast", "confirmed"]).default("fast"),
  keepSource: z.boolean().default(false),
  disable: z.array(z.string()).max(7).default([]),
});

const RATES: (number | RatePolicy | null)[] = [
  null,
  5_000,
  { policy: "fixed", bytesPerSecond: 5_000 },
  {
    policy: "clark",
    minBytesPerSecond: 1_000,
    maxBytesPerSecond: 9_000,
    incrementBytesPerSecond: 500,
  },
  { policy: "fair", maxBytesPerSecond: null },
  { policy: "schedule", entries: [{ from: "08:00", until: "18:00", bytesPerSecond: 5_000 }] },
];

/** An offer's options after their way over the link. */
const crossed = (rate: number | RatePolicy | null) =>
  JSON.parse(JSON.stringify(toOffered(migrationOptions.parse({
    rate,
    weight: 7,
    priority: "high",
    whenOver: ["throttleDisks", "ask"],
    window: { from: "2026-01-01T02:00:00Z" },
  }))));

Deno.test("a gateway from before policies reads every offer, with the cap where there is one", () => {
  const caps = RATES.map((rate) => optionsBeforePolicies.parse(crossed(rate)).rate);
  assert.deepEqual(caps, [null, 5_000, 5_000, null, null, null]);
});

Deno.test("an offer of a gateway from before policies has their defaults", () => {
  const before = optionsBeforePolicies.parse({ rate: 5_000, hold: true });
  assert.deepEqual(offeredOptions.parse(before), migrationOptions.parse(before));
});

Deno.test("between gateways of this version an offer arrives as it was wished", () => {
  for (const rate of RATES) {
    const { rate: arrived, weight, priority, whenOver, window } = offeredOptions
      .parse(crossed(rate));
    assert.deepEqual({ arrived, weight, priority, whenOver, window }, {
      arrived: rate,
      weight: 7,
      priority: "high",
      whenOver: ["throttleDisks", "ask"],
      window: { from: "2026-01-01T02:00:00Z", until: null },
    });
  }
});

Deno.test("wishes of a newer gateway that this one cannot read do not refuse its move", () => {
  const newer = {
    ...crossed(5_000),
    ratePolicy: { policy: "lunar", tide: 3 },
    priority: "highest",
    whenOver: ["teleport"],
    window: { cron: "* * * * *" },
    weight: 1e9,
    more: true,
  };
  assert.deepEqual(offeredOptions.parse(newer), migrationOptions.parse({ rate: 5_000 }));
});

Deno.test("what a destination acts by is still refused where it cannot be read", () => {
  assert.equal(offeredOptions.safeParse({ disable: ["gravity"] }).success, false);
});
