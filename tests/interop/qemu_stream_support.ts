/** Helpers of the memory-stream tests: small real machines, and what lies between two of them. */
import { systemClock } from "../../src/host/system_clock.ts";
import { connectQmp, type QmpClient } from "../../src/qemu/qmp/client.ts";
import { type FirmwareGuest, firmwareImage } from "../../src/qemu/stream/testing/firmware_guest.ts";

const START_TIMEOUT_MS = 20_000;
const POLL_MS = 10;
const READ_BUFFER_BYTES = 256 * 1024;

export interface FirmwareMachineOptions {
  /** For sockets and files; must exist and be short (a unix path holds 107 bytes). */
  readonly directory: string;
  readonly name: string;
  /** Default `qemu-system-x86_64` on PATH. */
  readonly command?: string;
  /** Such as `pc-i440fx-10.0`; default "pc". */
  readonly machineType?: string;
  readonly memoryKiB: number;
  readonly firmware: FirmwareGuest;
  /** Starts with `-incoming defer -S`. */
  readonly incoming?: boolean;
}

/** A QEMU whose only software is the firmware guest; disposing it kills it. */
export interface FirmwareMachine extends AsyncDisposable {
  readonly qmp: QmpClient;
  /** "." for each pass so far, "X" for lost memory. */
  passes(): Promise<string>;
}

export async function startFirmwareMachine(
  options: FirmwareMachineOptions,
): Promise<FirmwareMachine> {
  const base = `${options.directory}/${options.name}`;
  await Deno.writeFile(`${base}.bios`, firmwareImage(options.firmware));
  const child = new Deno.Command(options.command ?? "qemu-system-x86_64", {
    args: [
      ...["-nodefaults", "-no-user-config", "-display", "none", "-bios", `${base}.bios`],
      ...["-machine", `${options.machineType ?? "pc"},accel=tcg`, "-m", `${options.memoryKiB}k`],
      ...["-serial", `file:${base}.serial`, "-qmp", `unix:${base}.qmp,server=on,wait=off`],
      ...(options.incoming ? ["-incoming", "defer", "-S"] : []),
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let running = true;
  // A cancelled migration complains there, so it is only told where a start fails.
  const stderr = new Response(child.stderr).text();
  const exited = child.status.then(() => running = false);
  const clock = systemClock();
  let qmp: QmpClient | undefined;
  const dispose = async () => {
    qmp?.close();
    if (running) child.kill("SIGKILL");
    await Promise.all([exited, stderr]);
  };
  try {
    // The socket's file appears before it can be connected to.
    await until(START_TIMEOUT_MS, async () => {
      if (!running) throw new Error(`QEMU ended at once: ${await stderr}`);
      qmp = await connectQmp(`${base}.qmp`, { clock }).catch(() => undefined);
      return qmp !== undefined;
    });
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    qmp: qmp!,
    passes: () => Deno.readTextFile(`${base}.serial`),
    [Symbol.asyncDispose]: dispose,
  };
}

/** What stands between two machines: both directions, a chunk at a time. */
export interface StreamFilter {
  forward(chunk: Uint8Array): Iterable<Uint8Array>;
  /** The source closed; what this gives is the last that the destination gets. */
  forwardEnd?(): Iterable<Uint8Array>;
  backward?(chunk: Uint8Array): Iterable<Uint8Array>;
}

/** Relays one connection until both directions have ended, then closes both. */
export async function relay(
  source: Deno.Conn,
  destination: Deno.Conn,
  filter: StreamFilter,
): Promise<void> {
  await Promise.all([
    pumpForward(source, destination, filter),
    pumpBack(destination, source, filter),
  ]);
  for (const conn of [source, destination]) conn.close();
}

/** Source to destination; ends when the source closes, whose end is passed on. */
export async function pumpForward(
  source: Deno.Conn,
  destination: Deno.Conn & { closeWrite?(): Promise<void> },
  filter: StreamFilter,
): Promise<void> {
  await pump(source, destination, (chunk) => filter.forward(chunk));
  for (const piece of filter.forwardEnd?.() ?? []) await writeAll(destination, piece);
  // A destination that has read its stream's end may have closed already.
  await destination.closeWrite?.().catch(() => {});
}

async function pumpBack(
  destination: Deno.Conn,
  source: Deno.Conn & { closeWrite?(): Promise<void> },
  filter: StreamFilter,
): Promise<void> {
  await pump(destination, source, (chunk) => filter.backward?.(chunk) ?? [chunk]);
  await source.closeWrite?.().catch(() => {});
}

export async function pump(
  from: Deno.Conn,
  to: Deno.Conn,
  filter: (chunk: Uint8Array) => Iterable<Uint8Array>,
): Promise<void> {
  const buffer = new Uint8Array(READ_BUFFER_BYTES);
  for (;;) {
    const count = await from.read(buffer).catch(() => null);
    if (count === null) return;
    for (const piece of filter(buffer.subarray(0, count))) await writeAll(to, piece);
  }
}

export async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** Polls until `isTrue`; the deadline is for hangs only. */
export async function until(timeoutMs: number, isTrue: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!await isTrue()) {
    if (performance.now() > deadlineMs) throw new Error(`Not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The status that `query-migrate` settles at. */
export async function untilMigrated(qmp: QmpClient, timeoutMs = 60_000): Promise<string> {
  let status = "";
  await until(timeoutMs, async () => {
    ({ status = "" } = await qmp.execute("query-migrate") as { status?: string });
    return ["completed", "failed", "cancelled"].includes(status);
  });
  return status;
}

export async function setCapabilities(
  qmp: QmpClient,
  ...names: readonly string[]
): Promise<void> {
  const capabilities = names.map((capability) => ({ capability, state: true }));
  await qmp.execute("migrate-set-capabilities", { capabilities });
}
