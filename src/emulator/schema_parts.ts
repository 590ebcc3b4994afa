import { z } from "zod";
import { nameList } from "../core/problem_list.ts";

/** What is shown of a value in an error is shorter than that anyway. */
const SHOWN_DEPTH = 8;
const SHOWN_MEMBERS = 20;

/** Allowed values, both ends included. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** A number within a range, whose error says the range. */
export function number({ from, to }: Range): z.ZodNumber {
  const error = `a number from ${from} to ${to}`;
  return z.number({ error }).min(from, { error }).max(to, { error });
}

/** A whole number within a range. */
export function integer({ from, to }: Range): z.ZodNumber {
  const error = `a whole number from ${from} to ${to}`;
  return z.number({ error }).int({ error }).min(from, { error }).max(to, { error });
}

/** A text that is not empty. */
export function text(lengthMax: number): z.ZodString {
  const error = `a text of 1 to ${lengthMax} characters`;
  return z.string({ error }).min(1, { error }).max(lengthMax, { error });
}

/** One of a few words. */
export function oneOf<const T extends readonly [string, ...string[]]>(
  values: T,
): z.ZodEnum<{ [K in T[number]]: K }> {
  return z.enum(values, { error: `one of ${values.map((v) => `"${v}"`).join(", ")}` });
}

/** An object whose errors name the fields it may have. */
export function object<T extends z.ZodRawShape>(shape: T): z.ZodObject<T, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `the fields ${Object.keys(shape).join(", ")}`
        : `an object with the fields ${Object.keys(shape).join(", ")}`,
  });
}

/** What is wrong, in one line: the field with its value, and what is allowed. */
export function schemaProblem(issue: z.core.$ZodIssue, input: unknown): string {
  if (issue.code === "unrecognized_keys") {
    const fields = nameList(issue.keys.map((key) => fieldName([...issue.path, key])));
    return `${fields} is not known, allowed: ${issue.message}`;
  }
  const value = valueAt(input, issue.path);
  // Of several forms, the one that the author had in mind says more than that none fits.
  const inside = issue.code === "invalid_union" &&
    issue.errors.find((form) =>
      form.length > 0 &&
      form.every(({ path, code }) => path.length > 0 || code === "unrecognized_keys")
    );
  if (inside) {
    const { path, ...rest } = inside[0];
    const located = { ...rest, path: [...issue.path, ...path] } as z.core.$ZodIssue;
    return schemaProblem(located, input);
  }
  const found = value === undefined ? "is missing" : `is ${shown(value)}`;
  return `${fieldName(issue.path)} ${found}, allowed: ${issue.message}`;
}

function fieldName(path: readonly PropertyKey[]): string {
  const name = path.map((key) => typeof key === "number" ? `[${key}]` : `.${String(key)}`).join("");
  return name === "" ? "the whole file" : name.replace(/^\./, "");
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  return value;
}

function shown(value: unknown): string {
  const json = JSON.stringify(outline(value, SHOWN_DEPTH)) ?? String(value);
  return json.length <= 40 ? json : `${json.slice(0, 37)}...`;
}

/** Whoever nests a hundred thousand arrays gets to see the first few. */
function outline(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) return "...";
  if (Array.isArray(value)) {
    return value.slice(0, SHOWN_MEMBERS).map((member) => outline(member, depth - 1));
  }
  const members = Object.entries(value).slice(0, SHOWN_MEMBERS);
  return Object.fromEntries(members.map(([name, member]) => [name, outline(member, depth - 1)]));
}
