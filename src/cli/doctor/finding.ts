import { toGatewayError } from "../../core/errors.ts";

/** `fail` keeps moves from working or puts a secret at risk; `warn` can cost time or safety. */
export type Verdict = "ok" | "warn" | "fail";

/** What one check has found. */
export interface Finding {
  /** Stable name for programs, such as `peer south: link`. */
  readonly check: string;
  readonly verdict: Verdict;
  /** What was seen. */
  readonly seen: string;
  /** What to do; empty where nothing is to be done. */
  readonly hint: string;
}

export const ok = (check: string, seen: string): Finding => ({
  check,
  verdict: "ok",
  seen,
  hint: "",
});
export const warn = (check: string, seen: string, hint: string): Finding => ({
  check,
  verdict: "warn",
  seen,
  hint,
});
export const fail = (check: string, seen: string, hint: string): Finding => ({
  check,
  verdict: "fail",
  seen,
  hint,
});

/** A check that ended with an error, in that error's words. */
export function failedBy(check: string, thrown: unknown): Finding {
  const { message, hint } = toGatewayError(thrown);
  return fail(check, message, hint);
}

/** One line each, and what to do below it. */
export function findingLines(findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const counts = (["fail", "warn", "ok"] as const)
    .map((verdict) => `${findings.filter((each) => each.verdict === verdict).length} ${verdict}`);
  return [
    ...findings.flatMap(({ check, verdict, seen, hint }) => [
      `${verdict.padEnd(4)}  ${check.padEnd(width)}  ${seen}`,
      ...(hint === "" ? [] : [`${" ".repeat(width + 8)}${hint}`]),
    ]),
    counts.join(", "),
  ];
}
