import type { MigrationReport } from "../migration/report.ts";

const MAIN = `${import.meta.dirname}/../../main.ts`;
/** Those of the task `gateway`, no more: what a user has must do. */
const RIGHTS = [
  ...[
    "--no-prompt",
    "--frozen",
    "--allow-env=CAUSEWAY_CONFIG,INIT_CWD",
    "--allow-ffi=/lib/x86_64-linux-gnu/libc.so.6,/lib/aarch64-linux-gnu/libc.so.6",
    "--allow-net",
    "--allow-read",
  ],
  ...["--allow-write", "--allow-run"],
];
const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;

/** How a `causeway` command ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, as a user would; it does not judge the exit code. */
export async function causeway(...args: string[]): Promise<Ended> {
  const output = await command(args).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: text(output.stdout), stderr: text(output.stderr) };
}

/** As `causeway --json`, for commands that must succeed; returns the answer. */
export async function causewayJson<T>(...args: string[]): Promise<T> {
  const ended = await causeway("--json", ...args);
  if (ended.code !== 0) {
    throw new Error(`causeway ${args.join(" ")} ended with ${ended.code}: ${ended.stderr}`);
  }
  return JSON.parse(ended.stdout.trim().split("\n").at(-1)!) as T;
}

/** A command that serves until it is stopped. Disposing kills it where it still runs. */
export class Serving implements AsyncDisposable {
  #stdout = "";
  #stderr = "";
  #ended: number | null = null;
  readonly #outputEnd: Promise<unknown>;

  private constructor(readonly child: Deno.ChildProcess) {
    this.#outputEnd = Promise.all([
      this.#collect(child.stdout, (text) => this.#stdout += text),
      this.#collect(child.stderr, (text) => this.#stderr += text),
    ]);
    void child.status.then(({ code }) => this.#ended = code);
  }

  /** Starts it and waits for its `ready` line. */
  static start(...args: string[]): Promise<Serving> {
    return Serving.startIn(null, ...args);
  }

  /** The same inside a network namespace; null is the one of this process. */
  static async startIn(namespace: string | null, ...args: string[]): Promise<Serving> {
    const serving = new Serving(command(args, namespace).spawn());
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    while (!serving.#stdout.startsWith("ready ") || !serving.#stdout.includes("\n")) {
      if (serving.#ended !== null || performance.now() > deadlineMs) {
        await serving[Symbol.asyncDispose]();
        throw new Error(`causeway ${args[0]} did not get ready: ${serving.#stderr}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return serving;
  }

  /** A `key=value` word of the `ready` line. */
  ready(key: string): string {
    const found = new RegExp(` ${key}=(\\S+)`).exec(this.#stdout.split("\n")[0]);
    if (found) return found[1];
    throw new Error(`The ready line has no ${key}: ${this.#stdout}`);
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** SIGTERM; resolves with how it ended. Throws when it does not end. */
  async stop(): Promise<Ended> {
    this.#signal("SIGTERM");
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`It did not end on SIGTERM: ${this.#stderr}`)),
      STOP_TIMEOUT_MS,
    );
    try {
      const { code } = await Promise.race([this.child.status, late.promise]);
      await this.#outputEnd;
      return { code, stdout: this.#stdout, stderr: this.#stderr };
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal("SIGKILL");
    await this.child.status;
    await this.#outputEnd;
  }

  #signal(name: Deno.Signal): void {
    try {
      if (this.#ended === null) this.child.kill(name);
    } catch {
      // It has ended meanwhile.
    }
  }

  async #collect(stream: ReadableStream<Uint8Array>, add: (text: string) => void): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) add(text);
  }
}

/** The API of a gateway process, as a script sees it. */
export class SiteApi {
  private constructor(
    readonly url: string,
    readonly token: string,
    private readonly client: Deno.HttpClient | undefined,
  ) {}

  /** @param client one that leads to the gateway where this process cannot connect to it */
  static async open(
    gateway: Serving,
    apiTokenPath: string,
    client?: Deno.HttpClient,
  ): Promise<SiteApi> {
    const token = (await Deno.readTextFile(apiTokenPath)).trim();
    return new SiteApi(gateway.ready("http"), token, client);
  }

  async request(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${this.url}/v1${path}`, {
      method,
      client: this.client,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }

  /** A request that must succeed. */
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.request(method, path, body);
    if (answer.status < 300) return answer.body as T;
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  migration(id: string): Promise<MigrationReport> {
    return this.call("GET", `/migrations/${id}`);
  }

  /** The first report that fits, asked for a few times a second. */
  async until(
    id: string,
    fits: (report: MigrationReport) => boolean,
    timeoutMs: number,
  ): Promise<MigrationReport> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const report = await this.migration(id);
      if (fits(report)) return report;
      if (performance.now() > deadlineMs) {
        throw new Error(`No report fitted within ${timeoutMs} ms: ${JSON.stringify(report)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

function command(args: string[], namespace: string | null = null): Deno.Command {
  const run = ["run", "--quiet", "--no-check", "--cached-only", ...RIGHTS, MAIN, ...args];
  const [program, ...words] = namespace === null
    ? [Deno.execPath(), ...run]
    : ["ip", "netns", "exec", namespace, Deno.execPath(), ...run];
  return new Deno.Command(program, {
    args: words,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}
