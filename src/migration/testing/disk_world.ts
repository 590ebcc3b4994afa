import { type Extent, mergeExtents } from "../../core/extents.ts";
import type { DestinationSide, DiskRound } from "../../guest/guest.ts";

/** Disks differ in pieces of this size; smaller than a unit, so that units change in parts. */
export const SECTOR_BYTES = 512;

/** A disk that is written, tracked and read as a machine's is; nothing is ever late. */
export class TestDisk {
  readonly bytes: Uint8Array;
  /** What was written since the present round began, by sector. */
  #dirty: Uint8Array;

  constructor(readonly id: string, sectors: number) {
    this.bytes = new Uint8Array(sectors * SECTOR_BYTES);
    this.#dirty = new Uint8Array(sectors);
  }

  /** @param value 0: zeroes */
  write(sector: number, count: number, value: number): void {
    const end = Math.min(this.#dirty.length, sector + count);
    this.bytes.fill(value, sector * SECTOR_BYTES, end * SECTOR_BYTES);
    this.#dirty.fill(1, sector, end);
  }

  /**
   * Starts a round: all of the disk, or what was written since the one before.
   *
   * @param granularity sectors that one bit of the dirty bitmap stands for
   * @param seesHole says of a sector of zeroes whether it is known as one
   */
  beginRound(
    whole: boolean,
    granularity: number,
    seesHole: (sector: number) => boolean,
  ): DiskRound {
    const dirty = this.#dirty;
    this.#dirty = new Uint8Array(dirty.length);
    const has = (sector: number) => {
      const first = sector - sector % granularity;
      return whole || dirty.subarray(first, first + granularity).includes(1);
    };
    return {
      diskId: this.id,
      extents: this.extents(has, seesHole),
      read: (offsetBytes, into) => {
        into.set(this.bytes.subarray(offsetBytes, offsetBytes + into.length));
        return Promise.resolve();
      },
      finish: (kept) => {
        if (!kept) { for (let i = 0; i < dirty.length; i++) if (has(i)) this.#dirty[i] = 1; }
        return Promise.resolve();
      },
    };
  }

  /** The sectors that `has` names; those of zeroes that `seesHole` names are `zero`. */
  extents(has: (sector: number) => boolean, seesHole: (sector: number) => boolean): Extent[] {
    const extents: Extent[] = [];
    for (let sector = 0; sector * SECTOR_BYTES < this.bytes.length; sector++) {
      if (!has(sector)) continue;
      const offsetBytes = sector * SECTOR_BYTES;
      const content = this.bytes.subarray(offsetBytes, offsetBytes + SECTOR_BYTES);
      const isHole = content.every((byte) => byte === 0) && seesHole(sector);
      extents.push({ offsetBytes, lengthBytes: SECTOR_BYTES, kind: isHole ? "zero" : "data" });
    }
    return mergeExtents(extents);
  }
}

/** The disks of a machine that waits: what a destination needs of it, and nothing else. */
export function waitingDisks(
  disks: readonly TestDisk[],
  seesHole: (sector: number) => boolean,
): DestinationSide {
  const find = (id: string) => disks.find((disk) => disk.id === id)!;
  const side: Partial<DestinationSide> = {
    diskContent: (id) => Promise.resolve(find(id).extents(() => true, seesHole)),
    readDisk: (id, offsetBytes, into) => {
      into.set(find(id).bytes.subarray(offsetBytes, offsetBytes + into.length));
      return Promise.resolve();
    },
    writeDisk: (id, offsetBytes, bytes) => {
      find(id).bytes.set(bytes, offsetBytes);
      return Promise.resolve();
    },
    zeroDisk: (id, offsetBytes, lengthBytes) => {
      find(id).bytes.fill(0, offsetBytes, offsetBytes + lengthBytes);
      return Promise.resolve();
    },
    flushDisks: () => Promise.resolve(),
  };
  return side as DestinationSide;
}
