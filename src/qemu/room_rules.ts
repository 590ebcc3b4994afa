import type { Finding } from "../guest/guest.ts";
import { refusal, warning } from "./preflight_rules.ts";

/** One image that a move will write, and the storage below it. */
export interface RoomNeed {
  /** Device id of the disk. */
  readonly id: string;
  /** What the guest sees: the most that the image can come to hold. */
  readonly sizeBytes: number;
  /** What the source's image takes now; null where that is unknown. */
  readonly sourceAllocatedBytes: number | null;
  readonly room: {
    /** The same text for images on the same file system. */
    readonly fileSystem: string;
    readonly freeBytes: number;
    /** What the image here takes already. */
    readonly allocatedBytes: number;
  };
}

interface Sum {
  readonly freeBytes: number;
  readonly ids: string[];
  nowBytes: number;
  fullBytes: number;
}

/**
 * Pure: where images do not fit. A thin image needs what the source has allocated: less free space
 * refuses the move. It can grow to its full size later: less than that is a warning, as it was for
 * the operator who made the image thin. Images that share a file system are added up.
 */
export function roomFindings(needs: readonly RoomNeed[]): Finding[] {
  const sums = new Map<string, Sum>();
  for (const { id, sizeBytes, sourceAllocatedBytes, room } of needs) {
    const sum = sums.get(room.fileSystem) ??
      { freeBytes: room.freeBytes, ids: [], nowBytes: 0, fullBytes: 0 };
    const copiedBytes = Math.min(sizeBytes, sourceAllocatedBytes ?? sizeBytes);
    sum.nowBytes += Math.max(0, copiedBytes - room.allocatedBytes);
    sum.fullBytes += Math.max(0, sizeBytes - room.allocatedBytes);
    sum.ids.push(id);
    sums.set(room.fileSystem, sum);
  }
  return [...sums.values()].flatMap(({ freeBytes, ids, nowBytes, fullBytes }) => {
    const names = ids.join(", ");
    if (nowBytes > freeBytes) {
      return [refusal(
        "space_too_little",
        `Cannot move: the images of ${names} need ${nowBytes} bytes more than they have here, ` +
          `${freeBytes} are free`,
        "Free space on the destination's storage, or place the images elsewhere",
      )];
    }
    if (fullBytes > freeBytes) {
      return [warning(
        "space_too_little",
        `The thin images of ${names} fit now; filled by their guest they need ${fullBytes} bytes ` +
          `more than they have here, ${freeBytes} are free`,
        "Watch the free space of the destination's storage",
      )];
    }
    return [];
  });
}
