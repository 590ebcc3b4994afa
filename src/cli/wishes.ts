import { GatewayError } from "../core/errors.ts";
import {
  type RatePolicy,
  REMEDIES,
  remedies,
  type Remedy,
  schedulePolicy,
  type SwitchWindow,
  switchWindow,
} from "../migration/control/wishes.ts";
import type { MigrationChanges } from "../migration/options.ts";
import { parseDuration } from "./duration_text.ts";
import { parseRate, RATE_FORMS, type RateRequest } from "./rate_text.ts";

/** Options of the command line that say what is wished of a move, as they are written there. */
export interface WishArguments {
  readonly rate?: string;
  readonly maxDowntime?: number;
  readonly weight?: number;
  readonly priority?: string;
  readonly whenOver?: string;
  readonly window?: string;
  readonly hold?: boolean;
  readonly holdMemory?: string;
}

/** A part of `POST` and the whole of `PATCH /v1/migrations/{id}`. */
export type WishRequest =
  & Omit<MigrationChanges, "rate" | "priority">
  & { rate?: number | RateRequest | null; priority?: string };

/**
 * The same as the API takes it; what was not given is left out.
 *
 * @throws {GatewayError} `request_invalid`, naming the option
 */
export async function wishesOf(args: WishArguments): Promise<WishRequest> {
  const { maxDowntime: maxDowntimeMs, weight, priority, hold } = args;
  const wishes: WishRequest = {
    rate: args.rate === undefined ? undefined : await readRate(args.rate),
    maxDowntimeMs,
    weight,
    priority,
    whenOver: args.whenOver === undefined ? undefined : readRemedies(args.whenOver),
    window: args.window === undefined ? undefined : readWindow(args.window),
    hold,
    holdMemoryMs: args.holdMemory === undefined ? undefined : readDuration(args.holdMemory),
  };
  const given = Object.entries(wishes).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as WishRequest;
}

/**
 * A rate; of a schedule the file is read: an array of entries, or an object that has them.
 *
 * @throws {GatewayError} `request_invalid`
 */
export async function readRate(text: string): Promise<number | RateRequest | null> {
  let read: ReturnType<typeof parseRate>;
  try {
    read = parseRate(text);
  } catch (cause) {
    throw refused("--rate", text, (cause as Error).message, `It is ${RATE_FORMS}`);
  }
  return read.kind === "rate" ? read.rate : await readSchedule(read.path);
}

async function readSchedule(path: string): Promise<Extract<RatePolicy, { policy: "schedule" }>> {
  const hint = 'It holds [{ "from": "08:00", "until": "18:00", "bytesPerSecond": 250000 }]; ' +
    "docs/operations.md has more";
  let json: unknown;
  try {
    json = JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    throw refused("the schedule in", path, (cause as Error).message, hint);
  }
  const fields = Array.isArray(json) ? { entries: json } : json as Record<string, unknown>;
  const parsed = schedulePolicy.safeParse({ policy: "schedule", ...fields });
  if (parsed.success) return parsed.data;
  const [{ path: at, message }] = parsed.error.issues;
  const place = at.length === 0 ? "" : `${at.join(".")}: `;
  throw refused("the schedule in", path, `${place}${message}`, hint);
}

/** `FROM` or `FROM/UNTIL`, or `none`. */
function readWindow(text: string): SwitchWindow | null {
  if (text === "none") return null;
  const [from, until, ...more] = text.split("/");
  const parsed = switchWindow.safeParse({ from, until: until ?? null });
  const hint =
    "Give FROM, or FROM/UNTIL, such as 2026-01-31T02:00:00Z/2026-01-31T04:00:00Z; or none";
  if (more.length > 0) throw refused("--window", text, "it has more than two times", hint);
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues;
  throw refused(
    "--window",
    text,
    `${path.join(".") === "from" ? "FROM" : "UNTIL"}: ${message}`,
    hint,
  );
}

/** Names with commas between them, as the API has them or with hyphens. */
function readRemedies(text: string): Remedy[] {
  const names = text.split(",").map((name) =>
    name.trim().replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
  );
  const hint = `Give some of ${REMEDIES.join(", ")}, in the order in which they are to be tried`;
  const unknown = names.find((name) => !REMEDIES.some((remedy) => remedy === name));
  if (unknown !== undefined) {
    throw refused("--when-over", text, `there is no remedy ${JSON.stringify(unknown)}`, hint);
  }
  const parsed = remedies.safeParse(names);
  if (parsed.success) return parsed.data;
  throw refused("--when-over", text, parsed.error.issues[0].message, hint);
}

function readDuration(text: string): number {
  try {
    return parseDuration(text);
  } catch (cause) {
    throw refused("--hold-memory", text, (cause as Error).message, "Give 90s, 10min, 2h or 1d");
  }
}

function refused(option: string, text: string, why: string, hint: string): GatewayError {
  return new GatewayError("request_invalid", `Cannot use ${option} ${text}: ${why}`, { hint });
}
