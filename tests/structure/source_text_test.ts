import assert from "node:assert/strict";
import { importsOf, stripSource } from "./source_text.ts";

Deno.test("stripSource() blanks comments and strings and keeps every offset", () => {
  const cases: [string, string][] = [
    ["a; // Deno.x\nb;", "a;          \nb;"],
    ["a /* Date.now()\n */ b", "a              \n    b"],
    ['f("Math.random()")', 'f("             ")'],
    ["f('it\\'s') + Deno", "f('     ') + Deno"],
    ["`Deno ${Date.now()} Deno`", "`     ${Date.now()}     `"],
    ["`a${`b${c}d`}e` + x", "` ${` ${c} `} ` + x"],
    ["`${{ a: { b } }.a}x`; y", "`${{ a: { b } }.a} `; y"],
    ["x = /[\"'`/]/.test(y)", "x = /      /.test(y)"],
    ["a / b; // c", "a / b;     "],
    ["return /`/;", "return / /;"],
    ['"é😀" + x', '"   " + x'],
  ];
  for (const [text, expected] of cases) {
    assert.equal(stripSource(text).codeOnly, expected);
    assert.equal(stripSource(text).withoutComments.length, text.length);
  }
});

Deno.test("importsOf() finds every form and tells types from values", () => {
  const text = `
import a from "./a.ts";
import type { B } from "./b.ts";
import { type C, type D } from "./c.ts";
import { type E, f } from "./e.ts";
import * as g from "./g.ts";
import "./h.ts";
export { i } from "./i.ts";
export { type J } from "./j.ts";
export * from "./k.ts";
import {
  l, // import x from "./not.ts";
} from "./l.ts";
/** import m from "./not.ts"; */
const n = await import("./n.ts");
export const o = "./not.ts";
const p = 'import("./not.ts")';
`;
  assert.deepEqual(
    importsOf(text).map(({ specifier, typeOnly }) => `${specifier}${typeOnly ? " type" : ""}`),
    [
      "./a.ts",
      "./b.ts type",
      "./c.ts type",
      "./e.ts",
      "./g.ts",
      "./h.ts",
      "./i.ts",
      "./j.ts type",
      "./k.ts",
      "./l.ts",
      "./n.ts",
    ],
  );
});

Deno.test("importsOf() gives the names as the other module calls them", () => {
  const names = (text: string) => importsOf(text).flatMap((found) => found.names);
  assert.deepEqual(names(`import { a, type B, c as d } from "./x.ts";`), ["a", "B", "c"]);
  assert.deepEqual(names(`export type { E } from "./x.ts";`), ["E"]);
  assert.deepEqual(names(`import * as f from "./x.ts"; import g from "./y.ts";`), []);
});
