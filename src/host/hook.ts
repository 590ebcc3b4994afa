/** Of each output stream, what is kept: the end, which says how it went. */
const OUTPUT_CHARACTERS = 2_048;
/** After SIGTERM, before SIGKILL. */
const KILL_MS = 1_000;

/** How a command of the operator ended. */
export interface HookOutcome {
  /** Null: it was killed, or could not be run. */
  readonly exitCode: number | null;
  readonly durationMs: number;
  /** The last characters of standard output and standard error. */
  readonly output: string;
}

/**
 * Runs a command of the operator with a document on its standard input. Whatever happens is an
 * outcome: a program that is missing, one that does not end in time and is killed.
 *
 * @param command program and arguments; no shell in between
 * @param input JSON, followed by a newline and the end of the input
 */
export async function runHook(
  command: readonly string[],
  timeoutMs: number,
  input: unknown,
): Promise<HookOutcome> {
  const beganMs = performance.now();
  const ended = (exitCode: number | null, output: string): HookOutcome => ({
    exitCode,
    durationMs: Math.round(performance.now() - beganMs),
    output: output.trim(),
  });
  const [program, ...args] = command;
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    return ended(null, error instanceof Error ? error.message : String(error));
  }
  const timers: ReturnType<typeof setTimeout>[] = [];
  const kill = (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch {
      // It has ended.
    }
  };
  let isLate = false;
  const late = new Promise<null>((resolve) => {
    timers.push(setTimeout(() => {
      isLate = true;
      kill("SIGTERM");
      timers.push(setTimeout(() => (kill("SIGKILL"), resolve(null)), KILL_MS));
    }, timeoutMs));
  });
  const stop = new AbortController();
  const streams = [child.stdout, child.stderr].map((stream) => tail(stream, stop.signal));
  void write(child.stdin, JSON.stringify(input) + "\n");
  // A child of its own that holds the streams open must not hold up the answer.
  const status = await Promise.race([child.status, late]);
  timers.forEach(clearTimeout);
  const quiet = setTimeout(() => stop.abort(), KILL_MS);
  const output = (await Promise.all(streams)).filter((text) => text !== "").join("\n");
  clearTimeout(quiet);
  if (isLate) return ended(null, `not ended within ${timeoutMs} ms\n${output}`);
  return ended(status?.signal ? null : status?.code ?? null, output);
}

/** One that does not read its input may have reasons of its own. */
async function write(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    await writer.abort().catch(() => {});
  }
}

async function tail(stream: ReadableStream<Uint8Array>, signal: AbortSignal): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  const reader = stream.getReader();
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text;
      text = (text + decoder.decode(value, { stream: true })).slice(-OUTPUT_CHARACTERS);
    }
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}
