import { GatewayError } from "../core/errors.ts";
import { jsonErrorOffset, lineAndColumn } from "../core/json_position.ts";
import { problemList } from "../core/problem_list.ts";
import { LIMITS, type ProfileFile, profileSchema } from "./profile_schema.ts";
import { schemaProblem } from "./schema_parts.ts";
import type { DirectionSettings, WanProfile } from "./settings.ts";
import { segmentsOf } from "./timeline.ts";

/** What a link may hold at once in queue and flight; it lies in the emulator's memory. */
export const MAX_HELD_BYTES = 512 * 1024 * 1024;

/** A default queue holds at least two packets, or a link of no length would pass none. */
const MIN_DEFAULT_QUEUE_BYTES = 3_000;

/**
 * Reads a WAN profile.
 *
 * `backward` is like `forward` when missing. `queueBytes` is by default one bandwidth-delay product
 * of the round trip: the direction's rate times both delays.
 *
 * @param text JSON in the form of `profileSchema`
 * @param fileName for messages only
 * @throws {GatewayError} `profile_invalid`, naming file, field and allowed range, or the line
 */
export function parseProfile(text: string, fileName: string): WanProfile {
  const input = parseJson(text, fileName);
  const result = profileSchema.safeParse(input);
  if (!result.success) {
    throw invalid(fileName, result.error.issues.map((issue) => schemaProblem(issue, input)));
  }
  const profile = resolve(result.data);
  const problems = [...eventProblems(result.data), ...linkProblems(profile)];
  if (problems.length > 0) throw invalid(fileName, problems);
  return profile;
}

function parseJson(text: string, fileName: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { line, column } = lineAndColumn(text, jsonErrorOffset(text) ?? text.length);
    throw new GatewayError(
      "profile_invalid",
      `Cannot read profile ${fileName}: it is not JSON, line ${line} column ${column}`,
      { hint: "Look for a missing comma, quote or bracket just before that place", cause },
    );
  }
}

function resolve(file: ProfileFile): WanProfile {
  const backward = file.backward ?? file.forward;
  const roundTripMs = file.forward.delayMs + backward.delayMs;
  return {
    name: file.name,
    description: file.description,
    source: file.source,
    forward: withQueue(file.forward, roundTripMs),
    backward: withQueue(backward, roundTripMs),
    timeline: file.timeline.map((event) => ({
      atMs: event.atMs,
      direction: event.direction,
      set: event.set ?? null,
      outageMs: event.outageMs ?? 0,
      outageMode: event.outageMode,
    })),
    timelinePeriodMs: file.timelinePeriodMs,
  };
}

function withQueue(direction: ProfileFile["forward"], roundTripMs: number): DirectionSettings {
  const product = Math.round(direction.rateBitsPerSecond * roundTripMs / 8000);
  const queueBytes = Math.min(LIMITS.queueBytes.to, Math.max(MIN_DEFAULT_QUEUE_BYTES, product));
  return { ...direction, queueBytes: direction.queueBytes ?? queueBytes };
}

/** What a schema of single fields cannot see in the timeline. */
function* eventProblems(file: ProfileFile): Generator<string> {
  const periodMs = file.timelinePeriodMs ?? Infinity;
  for (const [index, event] of file.timeline.entries()) {
    const field = `timeline[${index}]`;
    if (!event.set && event.outageMs === undefined) {
      yield `${field} does nothing, allowed: set, outageMs or both`;
    }
    const endMs = event.atMs + (event.outageMs ?? 0);
    if (event.atMs >= periodMs || endMs > periodMs) {
      yield `${field} ends at ${endMs} ms, allowed: within timelinePeriodMs (${periodMs})`;
    }
  }
}

/** Settings that are fine one by one and not together, at any time of the timeline. */
function* linkProblems(profile: WanProfile): Generator<string> {
  for (const direction of ["forward", "backward"] as const) {
    const segments = segmentsOf(profile, direction);
    for (const { startMs, settings } of segments) {
      const where = startMs === 0 ? direction : `${direction} from ${startMs} ms on:`;
      const { rateBitsPerSecond, delayMs, jitterMs, queueBytes } = settings;
      if (jitterMs > delayMs) {
        yield `${where} jitterMs is ${jitterMs}, allowed: 0 to delayMs (${delayMs})`;
      }
      const heldBytes = Math.round(rateBitsPerSecond * (delayMs + jitterMs) / 8000) + queueBytes;
      if (heldBytes > MAX_HELD_BYTES) {
        yield `${where} rate, delay and queue hold ${heldBytes} bytes at once, allowed: ` +
          `up to ${MAX_HELD_BYTES}`;
      }
    }
    if (profile.timelinePeriodMs !== null && segments.every((s) => s.outage === "hold")) {
      yield `${direction} is held for the whole period, allowed: a link that sends at some time`;
    }
  }
}

function invalid(fileName: string, problems: string[]): GatewayError {
  return new GatewayError(
    "profile_invalid",
    `Cannot use profile ${fileName}: ${problemList(problems)}`,
    { hint: "docs/emulator.md lists every field with its range" },
  );
}
