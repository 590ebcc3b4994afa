import assert from "node:assert/strict";
import { sortReports } from "./doc_lint.ts";

const report = (kind: string, source: string) =>
  `error[${kind}]: something\n --> /src/a.ts:3:1\n  | \n3 | ${source}\n  |            ^\n\n`;

Deno.test("sortReports() keeps what is asked of public symbols, and unknown kinds", () => {
  const wanted = [
    report("missing-jsdoc", "export function f(): void {"),
    report("missing-jsdoc", "export async function* f() {"),
    report("missing-jsdoc", "export abstract class A {"),
    report("missing-jsdoc", "export interface I {"),
    report("missing-jsdoc", "export type T = string;"),
    report("missing-return-type", "export function f() {"),
    report("no-such-kind-yet", "  anything"),
  ];
  const dropped = [
    report("missing-jsdoc", "export function ofThisRoomOnly(): void {"),
    report("missing-return-type", "export function ofThisRoomOnly() {"),
    report("missing-return-type", "  get a() {"),
    report("missing-jsdoc", "  readonly sizeBytes: number;"),
    report("missing-jsdoc", "export const PAGE_BYTES = 4096;"),
    report("missing-jsdoc", "export type T = z.infer<typeof schema>;"),
    report("private-type-ref", "export type T = z.infer<typeof schema>;"),
    report("missing-explicit-type", "export const schema = z.object({"),
  ];
  const text = `${[...wanted, ...dropped].join("")}error: Found 15 documentation lint errors.\n`;
  const isPublic = (path: string, name: string) => path === "/src/a.ts" && /^[fAIT]$/.test(name);
  assert.deepEqual(sortReports(text, isPublic), {
    found: 15,
    kept: wanted.map((one) => one.trimEnd()),
  });
});
