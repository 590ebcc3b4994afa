import assert from "node:assert/strict";
import { noSavedBytes } from "./report.ts";
import { reportFields, shownReport } from "./report_form.ts";

Deno.test("of a peer's report only members that have the form of one are shown", () => {
  const report = {
    state: "copying",
    phase: "copying\u001b[2J memory\n",
    progress: 0.5,
    wireBytes: null,
    rounds: [{ number: 1, kind: "disk" }],
    disks: [],
    savedBytes: { ...noSavedBytes(), more: 1 },
    decisions: [{ at: "x", action: "\u0007", reason: "y", numbers: { "left\u0000": 1 } }],
    epoch: 1.5,
    toString: "no member",
    leftovers: "/disk",
  };
  assert.deepEqual(shownReport(report), {
    state: "copying",
    phase: "copying [2J memory ",
    progress: 0.5,
    disks: [],
    savedBytes: noSavedBytes(),
    decisions: [{ at: "x", action: " ", reason: "y", numbers: { "left ": 1 } }],
  });
  assert.deepEqual(shownReport({}), {});
  assert.ok(Object.keys(reportFields).includes("leftovers"));
});
