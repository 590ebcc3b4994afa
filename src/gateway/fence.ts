import { GatewayError } from "../core/errors.ts";
import type { Ledger } from "../ledger/ledger.ts";

/** What the site's fence command is told, as JSON on its standard input (docs/operations.md). */
export interface FenceRequest {
  readonly version: 1;
  readonly guest: string;
  readonly migration: string;
  /** That the decision will have. */
  readonly epoch: number;
  /** This site, which is about to run the machine. */
  readonly site: string;
  /** The site at which it must not run any more. */
  readonly other: string;
  readonly reason: string;
  readonly by: string;
}

/** How the command ended; exit code 0 alone means that the other site cannot run the machine. */
export interface FenceOutcome {
  readonly exitCode: number | null;
  readonly durationMs: number;
  readonly output: string;
}

/** The site's own way to make sure that a machine cannot run at the other site. Never rejects. */
export type Fence = (request: FenceRequest) => Promise<FenceOutcome>;

/**
 * Calls the site's fence before a machine is started here whose other site cannot be asked. Both the
 * call and its end are in the audit, the output with it.
 *
 * @throws {GatewayError} `fence_failed` where it is not sure, `ledger_write_failed`
 */
export async function fenced(
  fence: Fence,
  request: FenceRequest,
  ledger: Pick<Ledger, "audit">,
): Promise<FenceOutcome> {
  ledger.audit("fence_called", { ...request });
  const outcome = await fence(request);
  const { migration, guest, other } = request;
  const ended = { migration, guest, other, ...outcome };
  if (outcome.exitCode === 0) {
    ledger.audit("fenced", ended);
    return outcome;
  }
  ledger.audit("fence_failed", ended);
  const how = outcome.exitCode === null
    ? "did not end by itself"
    : `ended with ${outcome.exitCode}`;
  throw new GatewayError(
    "fence_failed",
    `Cannot run ${guest} here: the fence command ${how}: ${outcome.output || "it said nothing"}`,
    { hint: `Make sure that ${guest} cannot run at ${other}, mend the command, then decide again` },
  );
}
