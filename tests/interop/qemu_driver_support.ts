/** Helpers of the QEMU driver's tests: bare machines, and a move whose two ends are in one process. */
import { splitExtents, totalBytes } from "../../src/core/extents.ts";
import type { DiskRound, Guest, MemorySource, MoveOptions } from "../../src/guest/guest.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { attachQemu } from "../../src/qemu/qemu_guest.ts";
import { connectQmp, type QmpClient } from "../../src/qemu/qmp/client.ts";
import { createDisk } from "../../src/testing/qemu_process.ts";

export const clock = systemClock();
const PIECE_BYTES = 256 * 1024;
const START_TIMEOUT_MS = 20_000;

/** Runs `body` with a folder short enough for sockets, and removes it. */
export async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "cw-" });
  try {
    await body(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Waits until `isTrue`, looking every 10 ms. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  withinMs = 10_000,
): Promise<void> {
  const endMs = clock.nowMs() + withinMs;
  while (!await isTrue()) {
    if (clock.nowMs() > endMs) throw new Error(`Not within ${withinMs} ms: ${what}`);
    await clock.sleep(10);
  }
}

/** What a launch definition's `argv` is in these tests: a machine without software, idle at once. */
export function bareArgv(memoryMiB: number, ...more: readonly string[]): string[] {
  return [
    ...["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"],
    ...["-machine", "pc,accel=tcg", "-m", `${memoryMiB}`, ...more],
  ];
}

/** Arguments of one virtio disk; its node has the id of the device with "-format" behind it. */
export function diskArgv(id: string, path: string, format: "raw" | "qcow2"): string[] {
  return [
    ...["-blockdev", `driver=file,node-name=${id}-file,filename=${path}`],
    ...["-blockdev", `driver=${format},node-name=${id}-format,file=${id}-file`],
    ...["-device", `virtio-blk-pci,id=${id},drive=${id}-format`],
  ];
}

export interface BareMachine extends AsyncDisposable {
  readonly qmpPath: string;
  /** A second monitor, for looking at what the driver leaves. */
  readonly look: QmpClient;
  readonly pid: number;
  readonly exited: Promise<unknown>;
  kill(): Promise<void>;
}

/** Starts a machine of `bareArgv` with a monitor for the driver and one for the test. */
export async function startBare(
  directory: string,
  name: string,
  argv: readonly string[],
): Promise<BareMachine> {
  const paths = [`${directory}/${name}.qmp`, `${directory}/${name}.look`];
  const monitors = paths.flatMap((path) => ["-qmp", `unix:${path},server=on,wait=off`]);
  const child = new Deno.Command(argv[0], {
    args: [...argv.slice(1), ...monitors],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let running = true;
  const stderr = new Response(child.stderr).text();
  const exited = Promise.all([child.status, stderr]).then(() => running = false);
  let look: QmpClient | null = null;
  await until("the monitor answers", async () => {
    if (!running) throw new Error(`QEMU ended at once: ${await stderr}`);
    look = await connectQmp(paths[1], { clock }).catch(() => null);
    return look !== null;
  }, START_TIMEOUT_MS);
  const kill = async () => {
    look!.close();
    if (running) child.kill("SIGKILL");
    await exited;
  };
  return {
    qmpPath: paths[0],
    look: look!,
    pid: child.pid,
    exited,
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

/** Attaches the driver to a running machine; disposing it lets go. */
export async function attach(
  qmpPath: string,
  role: "source" | "incoming" = "source",
): Promise<Guest & AsyncDisposable> {
  const guest = await attachQemu({
    id: "vm",
    definition: { kind: "qemu", role, qmp: qmpPath },
    stateDirectory: "/nonexistent",
    clock,
  });
  return Object.assign(guest, { [Symbol.asyncDispose]: () => guest.detach() });
}

/** Options of a move that keep what is to be remembered. */
export function moveOptions(scratchDirectory: string): MoveOptions & {
  readonly notes: Record<string, unknown>;
} {
  const notes: Record<string, unknown> = {};
  return {
    scratchDirectory,
    notes,
    remember(more) {
      // As the ledger does it: only what survives JSON counts.
      Object.assign(notes, JSON.parse(JSON.stringify(more)));
      return Promise.resolve();
    },
  };
}

/** Makes a raw and a qcow2 image, `prefix` telling two machines apart. */
export async function createTwoDisks(directory: string, prefix: string) {
  const disks = [
    { id: "vd0", path: `${directory}/${prefix}-0.raw`, format: "raw" as const },
    { id: "vd1", path: `${directory}/${prefix}-1.qcow2`, format: "qcow2" as const },
  ];
  await createDisk(disks[0].path, "raw", 48);
  await createDisk(disks[1].path, "qcow2", 32);
  return disks;
}

/** Copies one round's extents to the destination, flushed. */
export async function copyRound(
  source: Guest,
  destination: Guest,
): Promise<{ readonly rounds: DiskRound[]; readonly dataBytes: number }> {
  const rounds = await source.source.beginDiskRound();
  for (const { diskId, extents, read } of rounds.map(bound)) {
    for (const { kind, offsetBytes, lengthBytes } of splitExtents(extents, PIECE_BYTES)) {
      if (kind === "zero") {
        await destination.destination.zeroDisk(diskId, offsetBytes, lengthBytes);
        continue;
      }
      const bytes = new Uint8Array(lengthBytes);
      await read(offsetBytes, bytes);
      await destination.destination.writeDisk(diskId, offsetBytes, bytes);
    }
  }
  await destination.destination.flushDisks();
  return {
    rounds,
    dataBytes: rounds.reduce((sum, { extents }) => sum + totalBytes(extents, "data"), 0),
  };
}

function bound(round: DiskRound) {
  return { ...round, diskId: round.diskId, extents: round.extents, read: round.read.bind(round) };
}

/** Feeds every item of a stream to the destination; resolves when the stream has ended. */
export async function pump(stream: MemorySource, destination: Guest | null): Promise<void> {
  for await (const items of stream.items()) {
    const unread = items.find((item) => item.kind === "opaque" && item.reason !== undefined);
    if (unread?.kind === "opaque") throw new Error(`not interpreted: ${unread.reason}`);
    await destination?.destination.writeMemory(items);
  }
}

/** Both images hold the same bytes; machines that stand still may have them open. */
export async function sameContent(one: string, other: string, format: string): Promise<boolean> {
  const { success } = await new Deno.Command("qemu-img", {
    args: ["compare", "-U", "-q", "-f", format, "-F", format, one, other],
  }).output();
  return success;
}
