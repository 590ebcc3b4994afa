import type { WanProfile } from "../emulator/settings.ts";
import type { Cell } from "./matrix.ts";
import { resolveProfile } from "./resolve_profile.ts";
import type { CellFigures } from "./row.ts";
import type { CellRunner } from "./runner.ts";
import type { Scenario } from "./schema.ts";

const ROOT = `${import.meta.dirname}/../..`;
/** After this a cell that was told to stop is killed. */
const STOP_MS = 30_000;
/** After its end its output ends, unless it has left something behind that holds it open. */
const OUTPUT_MS = 5_000;

/** What the process of a cell reads, as one line of JSON on its standard input. */
export interface CellOrder {
  readonly cell: Cell;
  readonly profile: WanProfile;
  readonly sampleMs: number;
  readonly warmUpMs: number;
  /** After this the move is ended by force; null: never. */
  readonly forceMs: number | null;
  /** The move as such may take so long. */
  readonly timeLimitMs: number;
  readonly limit: boolean;
}

/** The last line of its standard output. */
export type CellAnswer = { readonly figures: CellFigures } | { readonly error: string };

/**
 * Real gateways on the loopback need the network and processes; real machines need namespaces,
 * devices and files of /proc, for which Deno wants every permission.
 */
const RIGHTS: Readonly<Record<Cell["guest"]["kind"], readonly string[]>> = {
  reference: [
    ...["--allow-net", "--allow-read", "--allow-write", "--allow-run"],
    "--allow-env=TMPDIR",
    // The emulator gives its sockets room, as the task of it may.
    "--allow-ffi=/lib/x86_64-linux-gnu/libc.so.6,/lib/aarch64-linux-gnu/libc.so.6",
  ],
  qemu: ["--allow-all"],
};

/** Runs each cell in a process of its own, so that one which breaks takes nothing with it. */
export function processRunner(scenario: Scenario): CellRunner {
  return async (cell, signal) => {
    const order: CellOrder = {
      cell,
      profile: await resolveProfile(cell.profile),
      sampleMs: scenario.sampleMs,
      warmUpMs: scenario.warmUpSeconds * 1000,
      forceMs: scenario.stop.forceSeconds === null ? null : scenario.stop.forceSeconds * 1000,
      timeLimitMs: scenario.stop.cellSeconds * 1000,
      limit: scenario.limit,
    };
    const answer = await inProcess(order, signal);
    if ("error" in answer) throw new Error(answer.error);
    return answer.figures;
  };
}

async function inProcess(order: CellOrder, signal: AbortSignal): Promise<CellAnswer> {
  const { kind } = order.cell.guest;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--frozen", "--no-check"],
      ...["--config", `${ROOT}/deno.json`, ...RIGHTS[kind]],
      `${ROOT}/experiments/cells/${kind}.ts`,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let killer: ReturnType<typeof setTimeout> | undefined;
  const kill = (name: Deno.Signal) => {
    try {
      child.kill(name);
    } catch {
      // It has ended.
    }
  };
  const onAbort = () => {
    kill("SIGTERM");
    killer = setTimeout(() => kill("SIGKILL"), STOP_MS);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(JSON.stringify(order))).catch(() => {});
    await writer.close().catch(() => {});
    const left = new AbortController();
    const leftBehind = child.status.then(async ({ code }): Promise<CellAnswer> => {
      await pause(OUTPUT_MS, left.signal);
      return { error: `The process of the cell ended with code ${code} and left others behind` };
    });
    const answered = child.output().then(({ code, stdout, stderr }) =>
      answerOf(code, stdout, stderr)
    );
    return await Promise.race([answered, leftBehind]).finally(() => left.abort());
  } finally {
    signal.removeEventListener("abort", onAbort);
    clearTimeout(killer);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}

function answerOf(code: number, stdout: Uint8Array, stderr: Uint8Array): CellAnswer {
  const [out, log] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  const last = out.split("\n").at(-1)!;
  try {
    return JSON.parse(last);
  } catch {
    const end = log.split("\n").slice(-5).join(" ");
    return { error: `The process of the cell ended with code ${code}: ${end}` };
  }
}
