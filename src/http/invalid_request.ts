import type { z } from "zod";
import { GatewayError } from "../core/errors.ts";
import { problemList, shownName } from "../core/problem_list.ts";
import { STRATEGIES } from "../migration/report.ts";

type Issue = z.core.$ZodIssue;

/**
 * What a schema found wrong, as one error that names each field and what it may be.
 *
 * `strategy_not_available` for an unknown strategy of a move, else `request_invalid`.
 *
 * @param target part of the request: `json`, `query` or `param`
 */
export function invalidRequest(target: string, issues: readonly Issue[]): GatewayError {
  const strategy = target === "json" &&
    issues.find(({ path, code }) => path.join(".") === "strategy" && code === "invalid_value");
  if (strategy) {
    return new GatewayError(
      "strategy_not_available",
      "Cannot start this move: its strategy is not known here",
      { hint: `Known strategies: ${STRATEGIES.join(", ")}` },
    );
  }
  const problems = issues.flatMap((issue) => describe(issue, []));
  return new GatewayError(
    "request_invalid",
    `Cannot use the ${PART_NAMES[target] ?? target}: ${problemList(problems)}`,
    { hint: "GET /openapi.json describes every field" },
  );
}

const PART_NAMES: Record<string, string> = {
  json: "body",
  query: "query",
  param: "path",
};

function describe(issue: Issue, prefix: readonly PropertyKey[]): string[] {
  const path = [...prefix, ...issue.path];
  switch (issue.code) {
    case "invalid_union":
      return describeUnion(issue, path);
    case "unrecognized_keys":
      return issue.keys.map((key) => `${fieldName([...path, shownName(key)])} is not known`);
    case "invalid_value":
      return [
        `${fieldName(path)} must be ${
          issue.values.map((value) => JSON.stringify(value)).join(" or ")
        }`,
      ];
    default:
      return [`${fieldName(path)}: ${issue.message}`];
  }
}

function describeUnion(
  issue: Extract<Issue, { code: "invalid_union" }>,
  path: readonly PropertyKey[],
): string[] {
  if (issue.discriminator !== undefined && "options" in issue) {
    const allowed = (issue.options as unknown[]).map((value) => JSON.stringify(value));
    return [`${fieldName(path)} must be ${allowed.join(" or ")}`];
  }
  // Of another type than every form: none of them is closer than the others.
  const types = issue.errors.map((branch) => branch.find(isOfAnotherType));
  if (types.every((type) => type !== undefined)) {
    return [`${fieldName(path)} must be ${types.map(({ expected }) => expected).join(" or ")}`];
  }
  return closestBranch(issue.errors).flatMap((inner) => describe(inner, path));
}

type TypeIssue = Extract<Issue, { code: "invalid_type" }>;

function isOfAnotherType(issue: Issue): issue is TypeIssue {
  return issue.code === "invalid_type" && issue.path.length === 0 && issue.expected !== "int";
}

/**
 * The form that a client most likely meant: one whose `kind` fits and that asks for the fewest
 * changes. Naming the mistakes against every form would hide the one that matters.
 */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] {
  const distance = (branch: readonly Issue[]) =>
    branch.reduce((sum, issue) => {
      if (issue.path[0] === "kind" || isOfAnotherType(issue)) return sum + 100;
      return sum + (issue.code === "unrecognized_keys" ? 10 * issue.keys.length : 1);
    }, 0);
  const kinds = branches.map((branch) => branch.find(({ path }) => path[0] === "kind"));
  if (kinds.length > 0 && kinds.every((issue) => issue?.code === "invalid_value")) {
    const values = new Set(kinds.flatMap((i) => i?.code === "invalid_value" ? i.values : []));
    return [{ ...kinds[0]!, values: [...values] } as Issue];
  }
  return [...branches].sort((a, b) => distance(a) - distance(b))[0] ?? [];
}

function fieldName(path: readonly PropertyKey[]): string {
  const name = path.map((key) => typeof key === "number" ? `[${key}]` : `.${String(key)}`).join("");
  return name === "" ? "the whole of it" : name.replace(/^\./, "");
}
