import { ERRORS } from "./error_codes.ts";

/** Stable name of an expected failure; part of the API. */
export type ErrorCode = keyof typeof ERRORS;

/** What one code means to its three readers: the retry logic, an HTTP client and a person. */
export interface ErrorEntry {
  /** `reconnect`: the same request may succeed once the link or peer is back. */
  readonly retry: "never" | "reconnect";
  readonly httpStatus: number;
  /** One sentence for docs/errors.md. */
  readonly meaning: string;
  /** True where a migration is refused before anything moved (CLI exit code 6). */
  readonly preflight?: boolean;
}

/**
 * An expected failure.
 *
 * `message` reads "Cannot <action>: <state>"; `hint` is the next thing to try. Wrong arguments are
 * `TypeError` or `RangeError` instead, and broken invariants are assertions.
 */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly hint: string;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: ErrorOptions & { hint: string },
  ) {
    super(message, options);
    this.hint = options.hint;
  }

  /** The form that the API, the ledger and the peer carry. */
  toJSON(): { code: ErrorCode; message: string; hint: string } {
    return { code: this.code, message: this.message, hint: this.hint };
  }
}

/** Turns anything that was thrown into the API's error form; unknown causes become `internal`. */
export function toGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new GatewayError("internal", `Cannot go on: ${message}`, {
    hint: "This is a defect: report it with the gateway's log",
    cause: thrown,
  });
}
