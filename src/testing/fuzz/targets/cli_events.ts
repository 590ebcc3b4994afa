import assert from "node:assert/strict";
import { EventDecoder, type ServerEvent } from "../../../cli/sse_reader.ts";
import { follow } from "../../../cli/follow.ts";
import { progressBar, progressLine, RateMeter, summary } from "../../../cli/progress.ts";
import { sampleReport } from "../../../http/testing/fake_service.ts";
import { VirtualClock } from "../../virtual_clock.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import { mutateJson } from "../json_mutator.ts";
import type { FuzzTarget } from "../target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const WORDS = ["\n\n", "\r", "\r\n", "data:", "event: ", ": ", "id:", "retry: 5", "\n"]
  .map((word) => encoder.encode(word));

function anyEvents(dice: Dice): Uint8Array {
  const states = ["copying", "holding", "completed", "conflict", "inDoubt"] as const;
  const lines = ["retry: 1000", ""];
  for (let count = dice.between(1, 4); count > 0; count--) {
    const report = sampleReport({ state: dice.pick(states) });
    if (dice.chance(0.2)) lines.push(": still here", "");
    lines.push("event: report", `data: ${JSON.stringify(report)}`, "");
  }
  return encoder.encode([...lines, ""].join(dice.pick(["\n", "\r\n", "\r"])));
}

/** Events of the API, and what a command that follows a move makes of them. */
export function cliEvents(): FuzzTarget {
  return {
    name: "cli-events",
    reads: "server-sent events, and the reports in them, at the command line (src/cli)",
    codes: ["gateway_unreachable", "internal"],
    alsoThrows: ["RangeError"],
    form: "text",
    bufferBytesMax: 8 * 2 ** 20,
    testExecutions: 1_500,
    generate: anyEvents,
    mutate(input, dice, others) {
      const lines = decoder.decode(input).split("\n");
      const at = lines.findIndex((line) => line.startsWith("data: "));
      if (at < 0 || dice.chance(0.4)) return mutateBytes(input, dice, others, WORDS);
      const data = mutateJson(encoder.encode(lines[at].slice(6)), dice, []);
      lines[at] = `data: ${decoder.decode(data)}`;
      return encoder.encode(lines.join("\n"));
    },
    async run(input) {
      const text = decoder.decode(input);
      const events = decode([text]);
      assert.deepEqual(decode(cutText(text, input.length)), events, "however it was cut");
      const states = await followed(events);
      return `${Math.min(3, events.length)} events ${states}`;
    },
  };
}

function decode(chunks: Iterable<string>): ServerEvent[] {
  const events = new EventDecoder();
  const found: ServerEvent[] = [];
  for (const chunk of chunks) found.push(...events.push(chunk));
  return found;
}

/** In characters, as a decoder of UTF-8 gives them. */
function* cutText(text: string, way: number): Generator<string> {
  let state = way;
  for (let at = 0; at < text.length;) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const length = 1 + (state >>> 8) % (way % 3 === 0 ? 3 : 300);
    yield text.slice(at, at += length);
  }
}

/** Follows a move whose gateway says these events, and ends then. */
async function followed(events: readonly ServerEvent[]): Promise<string> {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const source = {
    async *events() {
      yield* events;
      stop.abort();
    },
  };
  const meter = new RateMeter();
  const states = new Set<string>();
  for await (const report of follow(source, "m-1", clock, stop.signal)) {
    states.add(report.state);
    const rate = meter.add(clock.nowMs(), report.wireBytes.total);
    for (const shown of [progressBar(report, rate, 80), progressLine(report, rate)]) {
      assert.equal(typeof shown, "string");
    }
    summary(report);
  }
  return [...states].sort().join(" ");
}
