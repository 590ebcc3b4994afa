import { GATEWAY_FLAGS } from "../../src/cli/demo/children.ts";
import { TextLineStream } from "../goodput/lines.ts";

const ROOT = new URL("../../", import.meta.url);
const LOG_LINES_KEPT = 50;
const STOP_MS = 5_000;

/** Whoever ends this process early ends its gateways, too. */
const children = new Set<Deno.ChildProcess>();
globalThis.addEventListener("unload", () => children.forEach((child) => child.kill("SIGKILL")));

/** A gateway in a process of its own. */
export interface GatewayProcess {
  readonly pid: number;
  /** `HOST:PORT` of its link. */
  readonly link: string;
  /** Where its debugger listens; null unless asked for. */
  readonly debuggerUrl: string | null;
  /** SIGTERM, then SIGKILL; resolves when it is gone. */
  stop(): Promise<void>;
}

export interface GatewayProcessOptions {
  /** Opens the debugger, which costs something by itself. */
  readonly profiled: boolean;
  /** Options for `deno run`, such as `--v8-flags=…`. */
  readonly denoFlags: readonly string[];
}

/** Starts `causeway gateway` as its task does and resolves when it serves. */
export async function startGateway(
  configPath: string,
  { profiled, denoFlags }: GatewayProcessOptions,
): Promise<GatewayProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      // With --quiet, the debugger would not tell its address.
      ...["run", "--cached-only", profiled ? "--inspect=127.0.0.1:0" : "--quiet", ...denoFlags],
      ...["--config", new URL("deno.json", ROOT).pathname, ...GATEWAY_FLAGS],
      ...[new URL("main.ts", ROOT).pathname, "gateway", "--config", configPath],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  children.add(child);
  const ready = Promise.withResolvers<string>();
  const debuggerUrl = Promise.withResolvers<string | null>();
  if (!profiled) debuggerUrl.resolve(null);
  const log: string[] = [];
  const read = Promise.all([
    eachLine(child.stdout, (line) => {
      const match = /^ready http=\S+ link=(\S+) pid=\d+$/.exec(line);
      if (match) ready.resolve(match[1]);
    }),
    eachLine(child.stderr, (line) => {
      log.push(line);
      if (log.length > LOG_LINES_KEPT) log.shift();
      const match = /^Debugger listening on (ws:\S+)$/.exec(line);
      if (match) debuggerUrl.resolve(match[1]);
    }),
  ]);
  let running = true;
  const ended = child.status.then(async ({ code }) => {
    running = false;
    children.delete(child);
    await read;
    const error = new Error(`A gateway ended with code ${code}:\n${log.join("\n")}`);
    ready.reject(error);
    debuggerUrl.reject(error);
  });
  debuggerUrl.promise.catch(() => {});
  return {
    pid: child.pid,
    link: await ready.promise,
    debuggerUrl: await debuggerUrl.promise,
    async stop() {
      if (!running) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => running && child.kill("SIGKILL"), STOP_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

async function eachLine(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  onLine: (line: string) => void,
): Promise<void> {
  for await (const line of stream.pipeThrough(TextLineStream())) onLine(line);
}
