import { GatewayError } from "../../core/errors.ts";
import { type Finding, type FuzzTarget, MESSAGE_MAX, type Outcome } from "./target.ts";

/** Runs one input; what must not happen is the `finding` of its answer. */
export async function meet(
  target: FuzzTarget,
  input: Uint8Array,
): Promise<Outcome | Finding> {
  try {
    const answer = target.run(input);
    return { kind: "read", signature: typeof answer === "string" ? answer : await answer };
  } catch (thrown) {
    return judge(target, input, thrown);
  }
}

function judge(target: FuzzTarget, input: Uint8Array, thrown: unknown): Outcome | Finding {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const isAllowed = error instanceof GatewayError
    ? target.codes.includes(error.code)
    : target.alsoThrows?.includes(error.name) ?? false;
  if (!isAllowed) return { kind: "crash", input, detail: describe(error) };
  const length = error.message.length + (error instanceof GatewayError ? error.hint.length : 0);
  if (length > (target.messageMax ?? MESSAGE_MAX)) {
    return { kind: "message", input, detail: `a message of ${length} characters: ${form(error)}` };
  }
  return { kind: "refused", signature: form(error) };
}

/** True for what must not happen. */
export function isFinding(met: Outcome | Finding): met is Finding {
  return met.kind !== "read" && met.kind !== "refused";
}

/** The same for all messages that one line of code makes: figures and quotations taken out. */
function form(error: Error): string {
  const name = error instanceof GatewayError ? error.code : error.name;
  const message = error.message.slice(0, 300).replace(/"[^"]*"|'[^']*'/g, '""')
    .replace(/[0-9a-f]{8,}|-?\d[\d.e+]*/g, "#");
  return `${name}: ${message.slice(0, 120)}`;
}

/** The error and where it came from, without what changes from run to run. */
function describe(error: Error): string {
  const code = error instanceof GatewayError ? ` ${error.code}` : "";
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line))
    .map((line) => line.replace(/file:\/\/\S*?\/((?:src|tests)\/)/, "$1").trim()).slice(0, 6);
  return [`${error.name}${code}: ${error.message.slice(0, 400)}`, ...frames].join("\n  ");
}

/** One for findings of one cause. */
export function causeOf({ kind, detail }: Finding): string {
  const [message, ...frames] = detail.split("\n");
  const place = frames.find((frame) => frame.includes("src/") && !frame.includes("src/testing/"));
  // However much of the input a long message repeats.
  if (kind === "message") return `${kind} ${message.split(":")[1]}`;
  return `${kind} ${place ?? message.replace(/\d+/g, "#")}`;
}
