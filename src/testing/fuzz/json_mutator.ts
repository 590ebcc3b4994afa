import { INPUT_BYTES_MAX, mutateBytes } from "./bytes_mutator.ts";
import type { Dice } from "./dice.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Values that are well-formed JSON and rarely meant. */
const ODD_VALUES: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 0.5, -0.5, 1e308, -1e308, 2 ** 31, 2 ** 32, 2 ** 53, 1e21],
  ...["", "0", "x", "\u0000", "\u001b[2J", "\ud800", "../../etc", "a".repeat(300), "é".repeat(200)],
  ...[[], {}, [[]], [null], { "": 0 }, { toString: 1 }, { length: 1e9 }, { kind: "x" }],
];
const ODD_KEYS = ["__proto__", "constructor", "toString", "length", "", "0", "x", "then"];
/** Deep enough to exhaust the stack of what descends without a limit. */
const DEPTH = 20_000;

/**
 * Another form of a JSON text: mostly of its values and still JSON, sometimes of its characters.
 *
 * @param keys names that mean something to the parser
 */
export function mutateJson(
  input: Uint8Array,
  dice: Dice,
  others: readonly Uint8Array[],
  keys: readonly string[] = [],
): Uint8Array {
  if (dice.chance(0.15)) return mutateBytes(input, dice, others, WORDS);
  try {
    let value: unknown = JSON.parse(decoder.decode(input));
    for (let times = dice.between(1, 3); times > 0; times--) {
      value = changedValue(value, dice, keys);
    }
    let text = json(value);
    if (dice.chance(0.03)) text = nested(text, dice);
    const bytes = encoder.encode(text);
    return bytes.length > INPUT_BYTES_MAX ? input : bytes;
  } catch {
    // No JSON, or too deep to be written again.
    return mutateBytes(input, dice, others, WORDS);
  }
}

const WORDS = ['"', "\\", "\\u0000", "\\ud800", "[", "]", "{", "}", ",", ":", "null", "1e999", "-0"]
  .map((word) => encoder.encode(word));

/** One place of a value changed; the place is found on a random way down. */
function changedValue(value: unknown, dice: Dice, keys: readonly string[]): unknown {
  if (typeof value !== "object" || value === null || dice.chance(0.1)) return replaced(value, dice);
  if (Array.isArray(value)) {
    const at = dice.below(value.length + 1);
    const copy = [...value];
    switch (dice.below(5)) {
      case 0:
        copy.splice(at, 1);
        return copy;
      case 1:
        copy.splice(at, 0, copy.length > 0 ? dice.pick(copy) : dice.pick(ODD_VALUES));
        return copy;
      case 2:
        return Array.from({ length: dice.size(600) }, () => value[0] ?? null);
      default:
        if (copy.length === 0) return [dice.pick(ODD_VALUES)];
        copy[at % copy.length] = changedValue(copy[at % copy.length], dice, keys);
        return copy;
    }
  }
  const entries = Object.entries(value);
  const at = dice.below(entries.length + 1);
  switch (dice.below(7)) {
    case 0:
      entries.splice(at, 1);
      break;
    case 1:
      entries.push([dice.pick([...ODD_KEYS, ...keys]), dice.pick(ODD_VALUES)]);
      break;
    case 2:
      if (entries.length > 0) {
        const [name] = dice.pick(entries);
        entries[at % entries.length] = [entries[at % entries.length][0], dice.pick(entries)[1]];
        if (dice.chance(0.3)) entries.push([`${name}x`, 1]);
      }
      break;
    default:
      if (entries.length === 0) break;
      entries[at % entries.length] = [
        entries[at % entries.length][0],
        changedValue(entries[at % entries.length][1], dice, keys),
      ];
  }
  // Not `Object.fromEntries`: a key `__proto__` has to arrive as a key.
  return JSON.parse(
    `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${json(each)}`).join(",")}}`,
  );
}

function json(value: unknown): string {
  return JSON.stringify(value) ?? "null";
}

function replaced(value: unknown, dice: Dice): unknown {
  if (typeof value === "number" && dice.chance(0.6)) {
    return dice.pick([value + 1, value - 1, -value, value * 1e6, value + 0.5, dice.number()]);
  }
  if (typeof value === "string" && dice.chance(0.6)) {
    const at = dice.below(value.length + 1);
    const odd = dice.pick(["", "\n", "\u0000", ":", "/", "[", "0", " ", "%", "☃", "99999"]);
    return value.slice(0, at) + odd + value.slice(at + dice.below(2));
  }
  return dice.pick(ODD_VALUES);
}

/** The text with one of its values deep inside of arrays or objects. */
function nested(text: string, dice: Dice): string {
  const [open, close] = dice.chance(0.5) ? ["[", "]"] : ['{"a":', "}"];
  const deep = open.repeat(DEPTH) + (dice.chance(0.5) ? "0" + close.repeat(DEPTH) : "");
  const places = [...text.matchAll(/(?<=[:[,])(?:\d+|"[^"]*"|null|true|false|\[\]|\{\})/g)];
  if (places.length === 0) return deep;
  const { index, 0: found } = dice.pick(places);
  return text.slice(0, index) + deep + text.slice(index + found.length);
}
