import assert from "node:assert/strict";
import { sortReports } from "./doc_lint.ts";

const report = (kind: string, source: string) =>
  `error[${kind}]: something\n --> /src/a.ts:3:1\n  | \n3 | ${source}\n  |            ^\n\n`;

Deno.test("sortReports() keeps undocumented functions, classes and types and unknown kinds", () => {
  const wanted = [
    report("missing-jsdoc", "export function f(): void {"),
    report("missing-jsdoc", "export async function* f() {"),
    report("missing-jsdoc", "export abstract class A {"),
    report("missing-jsdoc", "export interface I {"),
    report("missing-jsdoc", "export type T = string;"),
    report("no-such-kind-yet", "  anything"),
  ];
  const dropped = [
    report("missing-jsdoc", "  readonly sizeBytes: number;"),
    report("missing-jsdoc", "export const PAGE_BYTES = 4096;"),
    report("missing-jsdoc", "export type Config = z.infer<typeof configSchema>;"),
    report("private-type-ref", "export type Config = z.infer<typeof configSchema>;"),
    report("missing-explicit-type", "export const configSchema = z.object({"),
  ];
  const text = `${[...wanted, ...dropped].join("")}error: Found 11 documentation lint errors.\n`;
  assert.deepEqual(sortReports(text), { found: 11, kept: wanted.map((one) => one.trimEnd()) });
});
