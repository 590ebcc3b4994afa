import { z } from "zod";
import { ioLimits } from "./answers.ts";
import type { FoundLimits } from "./io_limits.ts";
import type { Settings } from "./settings.ts";

const settings = z.object({
  capabilities: z.record(z.string(), z.boolean()),
  parameters: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

const sourceNotes = z.object({
  /** Capabilities and parameters as found, where the driver changes them. */
  settings: settings.optional(),
  /** Whether the machine ran when the move began. */
  wasRunning: z.boolean().optional(),
  /** The driver was about to start QEMU's NBD server. */
  nbdServer: z.boolean().optional(),
  /** Limits as found of the drives whose writes the driver capped; empty where it lifted the cap. */
  ioLimits: z.array(z.object({
    handle: z.union([z.object({ id: z.string() }), z.object({ device: z.string() })]),
    limits: ioLimits,
  })).optional(),
});

/** What the driver changed at the source, for `restore` after a crash. */
export interface SourceNotes {
  readonly settings: Settings;
  readonly wasRunning: boolean;
  readonly nbdServer: boolean;
  readonly ioLimits: readonly FoundLimits[];
}

const NOTHING: Settings = { capabilities: {}, parameters: {} };

/** Reads notes of this version or none; what is not there was not changed. */
export function readSourceNotes(notes: Record<string, unknown>): SourceNotes {
  const parsed = sourceNotes.safeParse(notes);
  const data = parsed.success ? parsed.data : {};
  return {
    settings: data.settings ?? NOTHING,
    // Without notes the driver had not paused it: a machine that stands still was found so.
    wasRunning: data.wasRunning ?? false,
    nbdServer: data.nbdServer ?? false,
    ioLimits: data.ioLimits ?? [],
  };
}
