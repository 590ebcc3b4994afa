import { cpuUsage } from "node:process";
import { GatewayError } from "../../../core/errors.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { FuzzTarget } from "../target.ts";

const CASE_MS_MAX = 400;

/** The defects, by the kind of finding that each has to become. */
export const PLANTED = {
  crash: () => (null as unknown as { word: string }).word,
  "crash by code": () => {
    throw new GatewayError("internal", "Cannot read this", { hint: "" });
  },
  slow: () => {
    const before = cpuUsage();
    while (cpuUsage(before).user < 1_000 * (CASE_MS_MAX + 100));
    return "slow";
  },
  buffers: () => `${new Uint8Array(2 * 1024 * 1024).length}`,
  "crash by a buffer": () => `${new Uint32Array(2 ** 40).length}`,
  message: () => {
    throw new GatewayError("frame_invalid", "x".repeat(10_000), { hint: "" });
  },
  heap: () => {
    kept.push(Array.from({ length: 300_000 }, (_, i) => i + 0.5));
    return "kept";
  },
  hang: () => {
    for (;;) if (kept.length > 2 ** 40) return "never";
  },
} as const satisfies Record<string, () => string>;
export type Planted = keyof typeof PLANTED;

const kept: number[][] = [];
const WORD = [..."wan"].map((letter) => letter.charCodeAt(0));

/** Upper and lower case are the same, and more: five bits of a letter count. */
function isLetter(byte: number, letter: number): boolean {
  return (byte & 31) === (letter & 31);
}

/**
 * A parser with one defect, behind a word: each letter that is right is another way through, and only
 * who keeps what was new gets to the end of it.
 */
export function planted(defect: Planted): FuzzTarget {
  return {
    name: `planted ${defect}`,
    reads: "a word, and then it is too late",
    codes: ["frame_invalid"],
    form: "bytes",
    bufferBytesMax: 1024 * 1024,
    heapBytesMax: 2 * 1024 * 1024,
    caseMsMax: CASE_MS_MAX,
    testExecutions: 0,
    generate: (dice) => dice.bytes(4),
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    run(input) {
      const right = WORD.findIndex((letter, at) => !isLetter(input[at], letter));
      if (right < 0) return PLANTED[defect]();
      throw new GatewayError("frame_invalid", `Cannot read after ${"x".repeat(right)}`, {
        hint: "",
      });
    },
  };
}
