import { z } from "@hono/zod-openapi";
import type { RedirectCommands } from "../../gateway/service.ts";
import type { RedirectView } from "../../redirect/view.ts";

const count = z.number().int();
const meansKind = z.enum(["announce", "dns", "hook", "kernel", "tunnel"]);

/** One end of a redirect as the API shows it. */
export const redirectView: z.ZodType<RedirectView> = z.object({
  guest: z.string(),
  migration: z.string().nullable(),
  side: z.enum(["old", "new"]).nullable(),
  peer: z.string().nullable(),
  state: z.enum(["bound", "prepared", "redirecting", "draining", "retired", "failed"]),
  settled: z.boolean(),
  since: z.string().nullable(),
  means: z.array(meansKind),
  problem: z.string().nullable(),
  addresses: z.array(z.object({
    ip: z.string(),
    mac: z.string().nullable(),
    subnet: z.string().nullable(),
    gateway: z.string().nullable(),
    name: z.string().nullable(),
    site: z.string(),
    traffic: z.object({
      toMachinePackets: count,
      toMachineBytes: count,
      fromMachinePackets: count,
      fromMachineBytes: count,
    }).nullable(),
  })),
  reach: z.object({
    reached: z.boolean(),
    blackoutMs: count.nullable(),
    missing: z.array(z.string()),
  }).nullable(),
  question: z.object({ askedAt: z.string(), text: z.string() }).nullable(),
  kept: z.object({ packets: count, bytes: count, droppedPackets: count }).nullable(),
  history: z.array(z.object({
    at: z.string(),
    kind: z.string(),
    detail: z.string().nullable(),
  })),
}).openapi("Redirect");

/** A dry run: what is done at one stage. */
export const redirectCommands: z.ZodType<RedirectCommands> = z.object({
  side: z.enum(["old", "new"]),
  stage: z.string(),
  means: z.string(),
  commands: z.array(z.string()).readonly(),
}).openapi("RedirectCommands");

/** What an operator says to a redirect's question. */
export const redirectAnswer = z.strictObject({
  keep: z.boolean(),
  by: z.string().min(1).max(256).optional(),
});
