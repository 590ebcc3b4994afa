import assert from "node:assert/strict";
import { denoTestArgs, globPattern, groupParts, onlyMatching, planParts } from "./parts.ts";

Deno.test("planParts() runs pure folders with the unit tests and end-to-end tests last", () => {
  const parts = planParts(["e2e", "golden", "interop", "runner", "setup", "sim", "structure"]);
  assert.deepEqual(parts.map((part) => [part.name, part.parallel, part.paths]), [
    ["unit", true, ["src", "tests/golden", "tests/runner", "tests/sim", "tests/structure"]],
    ["interop", false, ["tests/interop"]],
    ["setup", false, ["tests/setup"]],
    ["e2e", false, ["tests/e2e"]],
  ]);
});

Deno.test("groupParts() ends with what mostly waits, side by side", () => {
  const names = (folders: string[]) =>
    groupParts(planParts(folders)).map((group) => group.map(({ name }) => name));
  assert.deepEqual(names(["bench", "e2e", "interop", "sim"]), [
    ["unit"],
    ["bench"],
    ["interop", "e2e"],
  ]);
  assert.deepEqual(names(["bench", "e2e"]), [["unit"], ["bench"], ["e2e"]]);
  assert.deepEqual(names(["bench"]), [["unit"], ["bench"]]);
});

Deno.test("planParts() leaves no folder out", () => {
  const folders = ["anything", "e2e", "sim", "zeta"];
  const paths = planParts(folders).flatMap((part) => part.paths);
  for (const folder of folders) assert.ok(paths.includes(`tests/${folder}`));
});

Deno.test("onlyMatching() keeps matching files in their part and drops empty parts", () => {
  const files = ["src/core/a_test.ts", "tests/e2e/move_test.ts", "tests/e2e/boot_test.ts"];
  const parts = onlyMatching(planParts(["e2e", "interop"]), files, "tests/**/*boot*");
  assert.deepEqual(parts.map((part) => [part.name, part.paths, part.docExamples]), [
    ["e2e", ["tests/e2e/boot_test.ts"], false],
  ]);
});

Deno.test("globPattern() keeps * within a name and lets ** cross folders", () => {
  const cases: [glob: string, path: string, matches: boolean][] = [
    ["src/*_test.ts", "src/a_test.ts", true],
    ["src/*_test.ts", "src/core/a_test.ts", false],
    ["src/**/*_test.ts", "src/core/deep/a_test.ts", true],
    ["src/**/*_test.ts", "src/a_test.ts", true],
    ["**/a_test.ts", "src/core/a_test.ts", true],
    ["core", "src/core/a_test.ts", true],
    ["a.test", "src/a_test.ts", false],
    ["*", "src/a_test.ts", false],
  ];
  for (const [glob, path, matches] of cases) {
    assert.equal(globPattern(glob).test(path), matches, `${glob} ${path}`);
  }
});

Deno.test("denoTestArgs() asks for examples and parallel files only where the part does", () => {
  const [unit, e2e] = planParts(["e2e"]);
  const ofUnit = denoTestArgs(unit, { reportPath: "r.xml" });
  const ofE2e = denoTestArgs(e2e, { reportPath: "r.xml", filter: "a b" });
  assert.ok(ofUnit.includes("--parallel") && ofUnit.includes("--doc"));
  assert.ok(!ofE2e.includes("--parallel") && !ofE2e.includes("--doc"));
  assert.ok(ofE2e.includes("--filter=a b"));
  assert.ok(!ofUnit.includes("--allow-all"));
});
