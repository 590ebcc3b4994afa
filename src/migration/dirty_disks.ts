import type { DirtyDisk } from "../guest/guest.ts";

/** What all disks together have waiting, in bytes. */
export function dirtyBytes(disks: readonly DirtyDisk[]): number {
  return disks.reduce((sum, { bytes }) => sum + bytes, 0);
}
