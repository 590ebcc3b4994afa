import { GatewayError } from "../../core/errors.ts";

/** One line of a monitor (QEMU Machine Protocol specification, "Server to client"). */
export type QmpMessage =
  | { readonly kind: "greeting"; readonly version: string; readonly oob: boolean }
  | { readonly kind: "return"; readonly id: number | null; readonly value: unknown }
  | {
    readonly kind: "error";
    readonly id: number | null;
    readonly errorClass: string;
    readonly description: string;
  }
  | { readonly kind: "event"; readonly event: QmpEvent };

export interface QmpEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/**
 * Reads one line as what it must be.
 *
 * @throws {GatewayError} `qmp_protocol`
 */
export function parseQmpMessage(line: string): QmpMessage {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw qmpProtocolError(`a line is not JSON: ${excerpt(line)}`, cause);
  }
  if (!isRecord(json)) throw qmpProtocolError(`a line is no object: ${excerpt(line)}`);
  if (typeof json.event === "string") {
    return {
      kind: "event",
      event: { name: json.event, data: isRecord(json.data) ? json.data : {} },
    };
  }
  const id = typeof json.id === "number" ? json.id : null;
  if ("return" in json) return { kind: "return", id, value: json.return };
  if (isRecord(json.error)) {
    return {
      kind: "error",
      id,
      errorClass: textOr(json.error.class, "GenericError"),
      description: textOr(json.error.desc, "no description"),
    };
  }
  if (isRecord(json.QMP)) return greeting(json.QMP);
  throw qmpProtocolError(`a line is no greeting, answer or event: ${excerpt(line)}`);
}

function greeting(body: Record<string, unknown>): QmpMessage {
  const version = isRecord(body.version) && isRecord(body.version.qemu) ? body.version.qemu : {};
  const numbers = [version.major, version.minor, version.micro];
  if (!numbers.every((n) => Number.isSafeInteger(n))) {
    throw qmpProtocolError("the greeting names no version");
  }
  const oob = Array.isArray(body.capabilities) && body.capabilities.includes("oob");
  return { kind: "greeting", version: numbers.join("."), oob };
}

/** Descriptions go into messages: a monitor has no reason to tell a novel. */
const DESCRIPTION_CHARS_MAX = 1_000;

function textOr(value: unknown, otherwise: string): string {
  return typeof value === "string" ? value.slice(0, DESCRIPTION_CHARS_MAX) : otherwise;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function qmpProtocolError(reason: string, cause?: unknown): GatewayError {
  return new GatewayError("qmp_protocol", `Cannot read the monitor's answer: ${reason}`, {
    hint: "Check that the address is a QMP socket of QEMU (-qmp), not another service's",
    cause,
  });
}

function excerpt(line: string): string {
  return JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}…` : line);
}
