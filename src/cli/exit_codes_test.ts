import assert from "node:assert/strict";
import { ERRORS } from "../core/error_codes.ts";
import type { ErrorEntry } from "../core/errors.ts";
import { exitCodeOfError, exitCodeOfState } from "./exit_codes.ts";

Deno.test("every refusal of the preflight ends with 6, and nothing else does", () => {
  for (const [code, entry] of Object.entries(ERRORS) as [string, ErrorEntry][]) {
    assert.equal(exitCodeOfError(code) === 6, entry.preflight === true, code);
  }
});

Deno.test("errors end with the codes of the contract", () => {
  const cases: [string, number][] = [
    ["request_invalid", 2],
    ["strategy_not_available", 2],
    ["config_invalid", 2],
    ["profile_not_found", 2],
    ["profile_invalid", 2],
    ["address_invalid", 2],
    ["gateway_unreachable", 5],
    ["destination_not_registered", 6],
    ["peer_unknown", 1],
    ["address_in_use", 1],
    ["a_code_of_a_newer_gateway", 1],
  ];
  for (const [code, exit] of cases) assert.equal(exitCodeOfError(code), exit, code);
});

Deno.test("states end with the codes of the contract, unless they are what was asked for", () => {
  assert.equal(exitCodeOfState("completed"), 0);
  assert.equal(exitCodeOfState("copying"), 0);
  assert.equal(exitCodeOfState("failed"), 1);
  assert.equal(exitCodeOfState("cancelled"), 3);
  assert.equal(exitCodeOfState("seeded"), 0);
  assert.equal(exitCodeOfState("rolledBack"), 3);
  assert.equal(exitCodeOfState("inDoubt"), 4);
  assert.equal(exitCodeOfState("conflict"), 4);
  assert.equal(exitCodeOfState("cancelled", ["cancelled"]), 0);
  assert.equal(exitCodeOfState("failed", ["cancelled"]), 1);
});
