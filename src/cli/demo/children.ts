import { GatewayError } from "../../core/errors.ts";
import { runsWith } from "../../qemu/host_process.ts";

const ROOT = `${import.meta.dirname}/../../..`;

/**
 * What `deno task gateway` allows, too (a test compares them). The children load nothing over the
 * network: whoever runs this process has everything cached.
 */
export const GATEWAY_FLAGS: readonly string[] = [
  "--no-prompt",
  "--frozen",
  "--allow-env=CAUSEWAY_CONFIG,INIT_CWD",
  "--allow-ffi=/lib/x86_64-linux-gnu/libc.so.6,/lib/aarch64-linux-gnu/libc.so.6",
  "--allow-net",
  "--allow-read",
  "--allow-write",
  "--allow-run",
];

/** Time for a gateway to stop by itself; then it is ended. */
const STOP_MS = 3_000;
const LOG_LINES_KEPT = 200;

/** A gateway in a process of its own. */
export interface GatewayProcess {
  /** `HOST:PORT` of its link. */
  readonly link: string;
  /** The last lines of its log. */
  log(): string;
  /** SIGTERM, then SIGKILL; resolves when it is gone. */
  stop(): Promise<void>;
}

/**
 * Starts `causeway gateway` and resolves when it serves.
 *
 * @throws {GatewayError} `gateway_unreachable` with what it said when it does not come up
 */
export async function startGatewayProcess(configPath: string): Promise<GatewayProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--cached-only",
      "--config",
      `${ROOT}/deno.json`,
      ...GATEWAY_FLAGS,
      `${ROOT}/main.ts`,
      "gateway",
      "--config",
      configPath,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [];
  const logged = readLines(child.stderr, (line) => {
    lines.push(line);
    if (lines.length > LOG_LINES_KEPT) lines.shift();
  });
  const ready = Promise.withResolvers<string>();
  const printed = readLines(child.stdout, (line) => {
    const match = /^ready http=\S+ link=(\S+) pid=\d+$/.exec(line);
    if (match) ready.resolve(match[1]);
  });
  let running = true;
  const ended = child.status.then(async ({ code }) => {
    running = false;
    await Promise.all([logged, printed]);
    ready.reject(
      new GatewayError(
        "gateway_unreachable",
        `Cannot start the gateway of ${configPath}: it ended with code ${code}`,
        { hint: lines.slice(-5).join("\n  ") },
      ),
    );
  });
  return {
    link: await ready.promise,
    log: () => lines.join("\n"),
    async stop() {
      if (!running) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => running && child.kill("SIGKILL"), STOP_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (text + chunk).split("\n");
    text = parts.pop()!;
    parts.forEach(onLine);
  }
  if (text !== "") onLine(text);
}

/**
 * Ends every machine whose process id lies in a file below `directory` and whose command line names
 * that directory. Machines survive their gateways, so this works whatever became of those.
 */
export async function endMachines(directory: string): Promise<void> {
  for await (const path of pidFiles(directory)) {
    const pid = Number((await Deno.readTextFile(path).catch(() => "")).trim());
    if (!Number.isSafeInteger(pid) || pid <= 1) continue;
    // The number may have gone to another process since.
    if (!await runsWith(pid, directory)) continue;
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // It ended meanwhile.
    }
  }
}

async function* pidFiles(directory: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) yield* pidFiles(path);
    else if (entry.isFile && /^(?:.*\.)?pid$/.test(entry.name)) yield path;
  }
}
