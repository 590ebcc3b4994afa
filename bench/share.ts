/**
 * A link that is shared: what a TCP download gets beside a move, how a cap shows on the wire, how
 * fast a change of it is seen, what weights make of two machines, and what a probe says before any
 * of that; all through the link model between two TUN devices. Root only.
 *
 *     bench/share.ts [--parts fair,fixed,step,shares,probe] [--profiles A,B/lossless]
 *                    [--seconds 30] [--repeat 3] [--seed 1] [--json FILE] [--raise-priority]
 *                    [--plot FILE.svg: of the first `step`]
 *
 * `--raise-priority` is for computers with other work: it puts the whole session first, so start it
 * with `setsid -w`.
 */
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { draw } from "../src/experiment/plots/draw.ts";
import { raisePriority } from "../src/testing/priority.ts";
import {
  fairCase,
  fixedCase,
  probeCase,
  shapedProfile,
  sharesCase,
  stepCase,
} from "./share/cases.ts";
import { setting } from "./setting.ts";
import { stepPlot } from "./share/step_plot.ts";

const PARTS = ["fair", "fixed", "step", "shares", "probe"] as const;
const { values } = parseArgs({
  args: Deno.args,
  options: {
    parts: { type: "string", default: PARTS.join(",") },
    profiles: {
      type: "string",
      default: "metro,continental/lossless,transatlantic,lossy-intercontinental",
    },
    seconds: { type: "string", default: "30" },
    repeat: { type: "string", default: "3" },
    seed: { type: "string", default: "1" },
    json: { type: "string" },
    plot: { type: "string" },
    "raise-priority": { type: "boolean", default: false },
  },
});
if (values["raise-priority"]) await raisePriority(Deno.pid);
const seconds = Number(values.seconds);
const seeds = Array.from({ length: Number(values.repeat) }, (_, i) => Number(values.seed) + i);
let plotted: string | null = null;
const results: { part: string; profile: string; seed: number; result: unknown }[] = [];

for (const part of values.parts.split(",")) {
  if (!PARTS.some((known) => known === part)) throw new TypeError(`No part is named ${part}`);
  console.log(`\n${part}`);
  for (const name of values.profiles.split(",")) {
    const profile = await shapedProfile(name);
    for (const seed of seeds) {
      const options = { profile, seconds, seed };
      const note = (result: unknown, text: string) => {
        results.push({ part, profile: name, seed, result });
        console.log(`${name.padEnd(26)}${text}`);
      };
      const linkBytesPerSecond = profile.forward.rateBitsPerSecond / 8;
      if (part === "fair") await fair(options, note);
      if (part === "fixed") {
        for (const share of [0.8, 0.3, 0.05]) {
          const result = await fixedCase(options, Math.round(share * linkBytesPerSecond));
          note(result, cap(result));
        }
        const small = await fixedCase(options, Math.round(0.1 * linkBytesPerSecond), 1_500);
        note(small, `${cap(small)} in frames of ${small.frameBytes}`);
      }
      if (part === "step") {
        const caps = [0.5, 0.1, 0.8, 0.3].map((share) => Math.round(share * linkBytesPerSecond));
        const result = await stepCase(options, caps, 1000 * Math.min(5, seconds));
        if (values.plot !== undefined && plotted === null) {
          plotted = resolve(values.plot);
          const drawing = { path: plotted, spec: stepPlot(name, result) };
          const problem = await draw(dirname(plotted), [drawing]);
          if (problem !== null) console.error(`no plot: ${problem}`);
        }
        note(
          result,
          result.steps.map(({ capBytesPerSecond, reachedAfterMs, keptRatio }) =>
            `${mb(capBytesPerSecond)}/s after ${reachedAfterMs ?? "-"} ms ` +
            `(then ${keptRatio.toFixed(3)})`
          ).join(", "),
        );
      }
      if (part === "shares") {
        for (
          const moves of [
            [{ weight: 300 }, { weight: 100 }],
            [{ priority: "high" as const }, { weight: 1_000 }],
          ]
        ) {
          const result = await sharesCase(options, moves);
          note(
            result,
            `${JSON.stringify(moves)}: ${result.shares.map(percent).join(" and ")} of ` +
              `${mb(result.bytesPerSecond)}/s`,
          );
        }
      }
      if (part === "probe") {
        const result = await probeCase(options);
        const { seconds, sentBytes, goodputBytesPerSecond } = result.probe;
        note(
          result,
          `${mb(Number(goodputBytesPerSecond))}/s in ${Number(seconds).toFixed(1)} s and ` +
            `${mb(Number(sentBytes))}; then ${mb(result.moveBytesPerSecond)}/s`,
        );
      }
    }
  }
}
if (values.json !== undefined) {
  const document = { ...await setting(), seconds, results };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}

type Options = Parameters<typeof fairCase>[0];

async function fair(options: Options, note: (result: unknown, text: string) => void) {
  let alone = 0;
  for (const beside of ["nothing", "uncapped", "fair"] as const) {
    const result = await fairCase(options, beside);
    if (beside === "nothing") alone = result.tcpShare;
    note(
      result,
      `TCP beside ${beside.padEnd(9)}${percent(result.tcpShare)} of the link, ` +
        `${(result.tcpShare / alone).toFixed(2)} of what it gets alone; move ` +
        `${percent(result.moveShare)}; queue ${result.queueMs?.toFixed(1) ?? "-"} ms, ` +
        `${(100 * result.queueDropRatio).toFixed(2)} % dropped`,
    );
  }
}

function cap(result: Awaited<ReturnType<typeof fixedCase>>): string {
  return `${(result.wireBytesPerSecond / result.capBytesPerSecond).toFixed(4)} of ` +
    `${mb(result.capBytesPerSecond)}/s`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`.padStart(7);
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}
