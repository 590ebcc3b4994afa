import { GatewayError } from "../core/errors.ts";
import { jsonErrorOffset, lineAndColumn } from "../core/json_position.ts";
import { problemList } from "../core/problem_list.ts";
import { schemaProblem } from "../emulator/schema_parts.ts";
import { cellsOf, profileName } from "./matrix.ts";
import { type Scenario, scenarioSchema } from "./schema.ts";

/** More than anybody waits for; a slip of the matrix must not run for a year. */
export const CELLS_MAX = 10_000;

/**
 * Reads a scenario file.
 *
 * @param text JSON in the form of `scenarioSchema`
 * @param fileName for messages only
 * @throws {GatewayError} `scenario_invalid`, naming file, field and allowed values, or the line
 */
export function parseScenario(text: string, fileName: string): Scenario {
  const input = parseJson(text, fileName);
  const result = scenarioSchema.safeParse(input);
  if (!result.success) {
    throw invalid(fileName, result.error.issues.map((issue) => schemaProblem(issue, input)));
  }
  const problems = [...nameProblems(result.data), ...cellProblems(result.data)];
  if (problems.length > 0) throw invalid(fileName, problems);
  return result.data;
}

function parseJson(text: string, fileName: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { line, column } = lineAndColumn(text, jsonErrorOffset(text) ?? text.length);
    throw new GatewayError(
      "scenario_invalid",
      `Cannot read scenario ${fileName}: it is not JSON, line ${line} column ${column}`,
      { hint: "Look for a missing comma, quote or bracket just before that place", cause },
    );
  }
}

/** Rows are told apart by names, so a name is given once. */
function* nameProblems({ matrix, leaveOut, published }: Scenario): Generator<string> {
  const names = {
    profile: matrix.profiles.map(profileName),
    guest: matrix.guests.map(({ name }) => name),
    workload: matrix.workloads.map(({ name }) => name),
    strategy: matrix.strategies.map(({ name }) => name),
    faults: matrix.faults.map(({ name }) => name),
  };
  const lists = { ...names, seed: matrix.seeds.map(String) };
  for (const [kind, list] of Object.entries(lists)) {
    const twice = list.find((name, index) => list.indexOf(name) !== index);
    if (twice !== undefined) yield `matrix: ${kind} ${twice} is there twice, allowed: once`;
  }
  const selections = [
    ...leaveOut.map((selection, index) => [`leaveOut[${index}]`, selection] as const),
    ...published.map(({ of }, index) => [`published[${index}].of`, of] as const),
    ...published.map(({ per }, index) => [`published[${index}].per`, per ?? {}] as const),
  ];
  for (const [where, selection] of selections) {
    for (const [field, value] of Object.entries(selection)) {
      const known = names[field as keyof typeof names];
      if (value !== undefined && !known.includes(value)) {
        yield `${where}.${field} is ${JSON.stringify(value)}, allowed: ${known.join(", ")}`;
      }
    }
  }
}

/** What fits one by one and not together. */
function* cellProblems(scenario: Scenario): Generator<string> {
  const { seeds, repetitions, ...dimensions } = scenario.matrix;
  const count = Object.values(dimensions).reduce((product, list) => product * list.length, 1) *
    seeds.length * repetitions;
  if (count > CELLS_MAX) {
    yield `matrix has ${count} cells, allowed: up to ${CELLS_MAX}`;
    return;
  }
  const cells = cellsOf(scenario);
  if (cells.length === 0) yield "matrix has no cell, allowed: at least one that is not left out";
  const seen = new Set<string>();
  for (const { strategy, guest, faults } of cells) {
    const fits = `strategy ${strategy.name} with guest ${guest.name} and faults ${faults.name}`;
    if (seen.has(fits)) continue;
    seen.add(fits);
    if (guest.kind === "qemu" && faults.events.some(({ kind }) => kind === "kill")) {
      yield `${fits}: gateways are killed beside guests of kind "reference", allowed: outages, ` +
        "or leave it out";
    }
    if (strategy.way === "causeway") {
      if (guest.kind === "qemu" && strategy.backAfterSeconds !== null) {
        yield `${fits}: guests of kind "reference" are brought back, allowed: no backAfterSeconds, ` +
          "or leave it out";
      }
      continue;
    }
    if (guest.kind !== "qemu") {
      yield `${fits}: QEMU alone moves no ${guest.kind} guest, allowed: guests of kind "qemu", ` +
        "or leave it out";
    }
  }
}

function invalid(fileName: string, problems: string[]): GatewayError {
  return new GatewayError(
    "scenario_invalid",
    `Cannot use scenario ${fileName}: ${problemList(problems)}`,
    { hint: "docs/experiments.md lists every field with its range" },
  );
}
