import { commandOutput } from "../host/command_output.ts";
import type { Clock } from "../core/clock.ts";

/**
 * What the host's process table says, read through child processes: the runtime opens `/proc` to
 * itself only with all permissions granted, these need `--allow-run` alone.
 */

/** Arguments of a process, or null when it does not exist (any more). */
export async function processArguments(pid: number): Promise<string[] | null> {
  const output = await commandOutput("cat", [`/proc/${pid}/cmdline`]);
  // A zombie has an empty command line: it has ended, only its parent has not asked yet.
  if (output === null || output === "") return null;
  return output.replace(/\0$/, "").split("\0");
}

/** True while `pid` is a process that has `argument` on its command line (pids are reused). */
export async function runsWith(pid: number, argument: string): Promise<boolean> {
  const args = await processArguments(pid);
  return args !== null && args.some((each) => each.includes(argument));
}

/**
 * Ids of the processes that have the file open, by its resolved path. Without root, only processes
 * of the same user are seen.
 */
export async function processesWithOpenFile(path: string): Promise<number[]> {
  const resolved = await Deno.realPath(path);
  const pattern = resolved.replace(/[\\*?\[]/g, "\\$&");
  // The shell names the folders: find by itself would walk all that /proc has of a process, which
  // takes three times as long, and this is part of a machine's pause.
  const script = 'exec find /proc/[0-9]*/fd -mindepth 1 -maxdepth 1 -lname "$1"';
  const found = await commandOutput("sh", ["-c", script, "sh", pattern], true);
  const pids = new Set<number>();
  for (const match of (found ?? "").matchAll(/^\/proc\/(\d+)\//gm)) pids.add(Number(match[1]));
  return [...pids];
}

/** Waits until the process has ended; false when it still lives after `ms`. */
export async function waitUntilGone(
  clock: Clock,
  pid: number,
  argument: string,
  ms: number,
): Promise<boolean> {
  const endMs = clock.nowMs() + ms;
  while (await runsWith(pid, argument)) {
    if (clock.nowMs() >= endMs) return false;
    await clock.sleep(10);
  }
  return true;
}

/**
 * What QEMU's file locks say against opening an image beside its other users, or null. Locks are on
 * the file, so it is opened as raw: a guest's raw disk must never be probed for a format.
 */
export async function lockConflict(path: string): Promise<string | null> {
  const { stderr } = await new Deno.Command("qemu-img", {
    args: ["info", "-f", "raw", "--output=json", path],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  return new TextDecoder().decode(stderr).split("\n").find((line) => /\block\b/.test(line)) ?? null;
}

/** Room for a regular file to grow in; null for a device, or where it cannot be asked. */
export async function fileRoom(
  path: string,
): Promise<{ fileSystem: string; freeBytes: number; allocatedBytes: number } | null> {
  const [file, system] = await Promise.all([
    commandOutput("stat", ["-L", "-c", "%F|%b|%B", path]),
    commandOutput("stat", ["-L", "-f", "-c", "%i|%a|%S", path]),
  ]);
  if (file === null || system === null || !file.startsWith("regular")) return null;
  const [, blocks, blockBytes] = file.trim().split("|");
  const [fileSystem, freeBlocks, freeBlockBytes] = system.trim().split("|");
  return {
    fileSystem,
    freeBytes: Number(freeBlocks) * Number(freeBlockBytes),
    allocatedBytes: Number(blocks) * Number(blockBytes),
  };
}
