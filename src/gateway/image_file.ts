import { commandOutput } from "../host/command_output.ts";
import type { ImageFile } from "../migration/ports.ts";

/** What a file is known again by. Text, because nanoseconds and inodes do not fit a number. */
export interface FileIdentity {
  readonly device: string;
  readonly inode: string;
  readonly sizeBytes: string;
  /** Seconds with nine decimals, as the file system has them. */
  readonly modified: string;
  readonly changed: string;
}

/** The part of a qcow2 header that is looked at; the rest of it says nothing about content. */
const QCOW2_HEADER_BYTES = 80;
const QCOW2_MAGIC = 0x514649fb;
/** Refcounts that were not written, damage, and an external data file; others concern the layout. */
const QCOW2_UNSUITABLE_FEATURES = 0b111;

/**
 * The identity of a regular file, read through a child process: the runtime gives times in
 * milliseconds, and the change time in seconds.
 *
 * @returns null for what is no regular file (a device changes without a trace in its inode), and
 * where the file system keeps seconds only: a write within the same one would not be seen
 */
export async function identityOf(path: string): Promise<FileIdentity | null> {
  // Opened, because that alone makes a network file system look at its server.
  const script = 'exec stat -L -c "%F|%d|%i|%s|%.9Y|%.9Z" /dev/fd/0 < "$1"';
  const text = await output("sh", ["-c", script, "sh", path]);
  const [kind, device, inode, sizeBytes, modified, changed] = text?.trim().split("|") ?? [];
  if (kind !== "regular file" && kind !== "regular empty file") return null;
  if (!/^\d+\.\d{9}$/.test(changed) || !/^\d+\.\d{9}$/.test(modified)) return null;
  if (changed.endsWith(".000000000")) return null;
  return { device, inode, sizeBytes, modified, changed };
}

export function sameIdentity(one: FileIdentity, other: FileIdentity): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/**
 * True where a process of this host has the very file open: a path that a machine gives may be one
 * of another host, or of a container's.
 */
export async function isOpenHere(path: string, { device, inode }: FileIdentity): Promise<boolean> {
  const resolved = await Deno.realPath(path).catch(() => null);
  if (resolved === null) return false;
  const pattern = resolved.replace(/[\\*?\[]/g, "\\$&");
  const script = 'exec find /proc/[0-9]*/fd -mindepth 1 -maxdepth 1 -lname "$1" ' +
    '-exec stat -L -c "%d:%i" {} +';
  const found = await output("sh", ["-c", script, "sh", pattern], true);
  return (found ?? "").split("\n").includes(`${device}:${inode}`);
}

/**
 * True where the file alone decides what the disk holds: raw and of the disk's size, or qcow2
 * without backing image, data file and encryption. Other formats are not looked into.
 */
export async function isSelfContained(image: ImageFile, file: FileIdentity): Promise<boolean> {
  // An image that is used from some offset on has other content than its file.
  if (image.format === "raw") return Number(file.sizeBytes) === image.sizeBytes;
  if (image.format !== "qcow2") return false;
  const header = new Uint8Array(QCOW2_HEADER_BYTES);
  using handle = await Deno.open(image.path, { read: true });
  if (await handle.read(header) !== header.length) return false;
  return isPlainQcow2(header);
}

/** Of the first 80 bytes of an image; layout: QEMU, docs/interop/qcow2.txt. */
export function isPlainQcow2(header: Uint8Array): boolean {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const version = view.getUint32(4);
  if (view.getUint32(0) !== QCOW2_MAGIC || (version !== 2 && version !== 3)) return false;
  if (view.getBigUint64(8) !== 0n || view.getUint32(32) !== 0) return false;
  return version === 2 || (view.getUint32(76) & QCOW2_UNSUITABLE_FEATURES) === 0;
}

/** Makes everything written to a file, or to a folder, durable, whoever wrote it. */
export async function syncPath(path: string): Promise<void> {
  using handle = await Deno.open(path, { read: true });
  await handle.sync();
}

/** Standard output of a command; null when it cannot be run, or fails and `anyStatus` is not set. */
function output(command: string, args: string[], anyStatus = false): Promise<string | null> {
  return commandOutput(command, args, anyStatus).catch(() => null);
}
