import { guestImage } from "./guest_image/build.ts";
import { guestArgv, type GuestArgvOptions } from "./guest_image/guest_argv.ts";
import { GuestChannel } from "./guest_image/guest_channel.ts";

export { guestArgv };
export type { GuestDisk, GuestNetwork, GuestWorkload } from "./guest_image/guest_argv.ts";

/** QEMU 7.2 loses guest writes when it migrates under TCG, so tests insist on this one. */
const QEMU_MAJOR = 10;
const POLL_MS = 20;

/** A test guest and where its sockets and logs go. */
export interface QemuOptions
  extends Omit<GuestArgvOptions, "image" | "consolePath" | "channelPath"> {
  /** For sockets and logs; must exist. Unix socket paths hold 107 bytes: keep it short. */
  readonly directory: string;
  /** Tells two machines in one directory apart; default "guest". */
  readonly name?: string;
  /** Starts with `-incoming defer -S`: waits for a move. */
  readonly incoming?: boolean;
}

/** A running QEMU; disposing it kills it. */
export interface QemuProcess extends AsyncDisposable {
  readonly pid: number;
  /** Socket of a QMP monitor that nobody else uses. */
  readonly qmpPath: string;
  readonly consolePath: string;
  readonly channelPath: string;
  /** Resolves with the exit code when QEMU ends, by whatever cause. */
  readonly exited: Promise<number>;
  /** What QEMU has written to stderr so far. */
  stderr(): string;
  /** The kernel's console so far. */
  console(): Promise<string>;
  /** See `GuestChannel.ask`. */
  ask(line: string, timeoutMs?: number): Promise<string>;
  /** Resolves when the guest has booted and its workload runs: 4 s on an idle machine. */
  waitReady(timeoutMs?: number): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
}

/** Starts a test guest and resolves when its monitor can be connected to. */
export async function startQemu(options: QemuOptions): Promise<QemuProcess> {
  await requireQemu();
  const base = `${options.directory}/${options.name ?? "guest"}`;
  const paths = {
    qmpPath: `${base}.qmp`,
    consolePath: `${base}.console`,
    channelPath: `${base}.channel`,
  };
  const [command, ...args] = [
    ...guestArgv({ ...options, ...paths, image: await guestImage() }),
    ...["-qmp", `unix:${paths.qmpPath},server=on,wait=off`],
    ...(options.incoming ? ["-incoming", "defer", "-S"] : []),
  ];
  const child = new Deno.Command(command, { args, stdin: "null", stdout: "null", stderr: "piped" })
    .spawn();
  let stderr = "";
  const stderrEnd = collect(child.stderr, (text) => stderr += text);
  let running = true;
  const exited = child.status.then(async (status) => {
    running = false;
    await stderrEnd;
    return status.code;
  });
  const channel = new GuestChannel(paths.channelPath);
  const process: QemuProcess = {
    ...paths,
    pid: child.pid,
    exited,
    stderr: () => stderr,
    console: () => readText(paths.consolePath),
    ask: (line, timeoutMs) => channel.ask(line, timeoutMs),
    async waitReady(timeoutMs = 60_000) {
      await waitFor(timeoutMs, async () => {
        const text = await process.console();
        if (!running || text.includes("Kernel panic")) {
          throw new Error(`The guest did not boot: ${stderr}\n${text.slice(-2000)}`);
        }
        return text.includes("cw: ready ");
      });
      await process.ask("ping");
    },
    async kill() {
      channel.close();
      if (running) child.kill("SIGKILL");
      await exited;
    },
    [Symbol.asyncDispose]: () => process.kill(),
  };
  try {
    await waitFor(30_000, async () => {
      if (!running) {
        await exited;
        throw new Error(`QEMU ended at once: ${stderr}`);
      }
      return await exists(paths.qmpPath) && await exists(paths.channelPath);
    });
  } catch (error) {
    await process.kill();
    throw error;
  }
  return process;
}

/** Makes an empty disk image: sparse raw, or qcow2 by qemu-img. */
export async function createDisk(
  path: string,
  format: "raw" | "qcow2",
  sizeMiB: number,
): Promise<void> {
  if (format === "raw") {
    using file = await Deno.open(path, { write: true, createNew: true });
    await file.truncate(sizeMiB * 1024 * 1024);
    return;
  }
  const args = ["create", "-q", "-f", format, path, `${sizeMiB}M`];
  const result = await new Deno.Command("qemu-img", { args, stderr: "inherit" }).output();
  if (!result.success) throw new Error(`qemu-img ended with ${result.code}`);
}

/** "10.0.2" of the `qemu-system-x86_64` on PATH, or null without one. */
export async function qemuVersion(): Promise<string | null> {
  try {
    const result = await new Deno.Command("qemu-system-x86_64", { args: ["--version"] }).output();
    return /version (\d+\.\d+\.\d+)/.exec(new TextDecoder().decode(result.stdout))?.[1] ?? null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

let checked: Promise<void> | null = null;

function requireQemu(): Promise<void> {
  checked ??= qemuVersion().then((version) => {
    if (version === null || Number(version.split(".")[0]) < QEMU_MAJOR) {
      throw new Error(
        `Tests need QEMU ${QEMU_MAJOR}, found ${version ?? "none"}: ` +
          "run `sudo sh tests/setup/debian.sh` first",
      );
    }
  });
  return checked;
}

async function waitFor(timeoutMs: number, isTrue: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!await isTrue()) {
    if (performance.now() > deadlineMs) throw new Error(`Not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function collect(stream: ReadableStream<Uint8Array>, add: (text: string) => void) {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) add(text);
}

async function readText(path: string): Promise<string> {
  return await Deno.readTextFile(path).catch(() => "");
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
