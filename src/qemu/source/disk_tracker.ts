import type { Extent } from "../../core/extents.ts";
import type { DirtyDisk, DiskRound } from "../../guest/guest.ts";
import type { NbdClient } from "../../nbd/client.ts";
import { ask, namedNodesAnswer } from "../answers.ts";
import { BITMAP_PREFIX, type Drive } from "../drives.ts";
import { EXPORT_PREFIX, type NbdExports } from "../exports.ts";
import type { Machine } from "../machine.ts";

/** Bytes that one bit stands for: QEMU's usual cluster, and one small NBD read. */
const GRANULARITY_BYTES = 65_536;
/** Bitmaps of rounds; the return bitmap of an earlier arrival has another name. */
export const ROUND_BITMAP_PREFIX = `${BITMAP_PREFIX}round-`;

/**
 * Follows the writes to a machine's disks in rounds.
 *
 * The bitmap of round n records what is written while round n is copied. Round n+1 begins with one
 * transaction over all disks that adds the bitmap n+1 and disables the bitmap n, so that no write
 * falls between and all disks are cut at the same moment; then bitmap n is exported and copied.
 */
export class DiskTracker {
  readonly #machine: Machine;
  readonly #exports: NbdExports;
  readonly #writable: readonly Drive[];
  readonly #readOnly: readonly Drive[];
  #round = 0;
  #open: OpenRound[] = [];
  /** Disks of which a whole copy was given up: their next round is the whole disk again. */
  readonly #wholeAgain = new Set<string>();

  constructor(machine: Machine, exports: NbdExports, drives: readonly Drive[]) {
    this.#machine = machine;
    this.#exports = exports;
    this.#writable = drives.filter((drive) => !drive.readOnly);
    this.#readOnly = drives.filter((drive) => drive.readOnly);
  }

  /** Starts tracking: whatever is written from here on belongs to a later round than the first. */
  async begin(): Promise<void> {
    await this.#transact(this.#writable.map((drive) => addBitmap(drive, 1)));
  }

  async beginRound(): Promise<DiskRound[]> {
    // Given up without a word: what they held must not be lost.
    await Promise.all(this.#open.map((round) => round.finish(false)));
    const round = this.#round + 1;
    const drives = round === 1 ? [...this.#writable, ...this.#readOnly] : this.#writable;
    if (round > 1) {
      await this.#transact(this.#writable.flatMap((drive) => [
        addBitmap(drive, round),
        { type: "block-dirty-bitmap-disable", data: bitmapOf(drive, round - 1) },
      ]));
    }
    this.#round = round;
    const opened = drives.map((drive) => this.#openRound(drive, round));
    this.#open = [...opened];
    try {
      await Promise.all(opened.map((each) => each.load()));
    } catch (thrown) {
      await Promise.all(opened.map((each) => each.finish(false).catch(() => {})));
      throw await this.#machine.explain(thrown);
    }
    return opened;
  }

  /** Bytes in the bitmap that records now, of each disk. */
  async dirtyDisks(): Promise<DirtyDisk[]> {
    const active = bitmapName(Math.max(1, this.#round));
    const nodes = await ask(this.#machine, "query-named-block-nodes", namedNodesAnswer, {
      flat: true,
    });
    return this.#writable.map(({ id, nodeName }) => {
      const bitmaps = nodes.find((node) => node["node-name"] === nodeName)?.["dirty-bitmaps"];
      return { diskId: id, bytes: bitmaps?.find(({ name }) => name === active)?.count ?? 0 };
    });
  }

  #openRound(drive: Drive, round: number): OpenRound {
    const frozen = round > 1 && !drive.readOnly ? bitmapName(round - 1) : null;
    const whole = frozen === null || this.#wholeAgain.delete(drive.id);
    const finished = async (kept: boolean) => {
      this.#open = this.#open.filter((each) => each !== opened);
      if (!kept && whole && !drive.readOnly) this.#wholeAgain.add(drive.id);
      if (frozen === null) return;
      if (!kept) {
        await this.#machine.execute("block-dirty-bitmap-merge", {
          node: drive.nodeName,
          target: bitmapName(this.#round),
          bitmaps: [frozen],
        });
      }
      await this.#machine.execute("block-dirty-bitmap-remove", {
        node: drive.nodeName,
        name: frozen,
      });
    };
    const id = `${EXPORT_PREFIX}${round}-${this.#indexOf(drive)}`;
    const opened = new OpenRound(this.#machine, this.#exports, drive, id, frozen, whole, finished);
    return opened;
  }

  #indexOf(drive: Drive): number {
    return [...this.#writable, ...this.#readOnly].indexOf(drive);
  }

  async #transact(actions: readonly unknown[]): Promise<void> {
    if (actions.length > 0) await this.#machine.execute("transaction", { actions });
  }
}

/** One disk's share of a round: a read-only export that lives until `finish`. */
class OpenRound implements DiskRound {
  readonly diskId: string;
  extents: readonly Extent[] = [];
  #client: NbdClient | null = null;
  #finished: Promise<void> | null = null;

  constructor(
    private readonly machine: Machine,
    private readonly exports: NbdExports,
    private readonly drive: Drive,
    private readonly exportId: string,
    private readonly frozen: string | null,
    private readonly whole: boolean,
    private readonly onFinished: (kept: boolean) => Promise<void>,
  ) {
    this.diskId = drive.id;
  }

  async load(): Promise<void> {
    const bitmaps = this.frozen === null ? [] : [this.frozen];
    this.#client = await this.exports.open(this.exportId, this.drive.nodeName, {
      writable: false,
      bitmaps,
    });
    this.extents = this.whole
      ? await this.#client.allocatedExtents()
      : await this.#client.dirtyExtents(`qemu:dirty-bitmap:${this.frozen}`);
  }

  async read(offsetBytes: number, into: Uint8Array): Promise<void> {
    if (!this.#client) throw new TypeError("the round is over");
    try {
      await this.#client.read(offsetBytes, into.length, into);
    } catch (thrown) {
      throw await this.machine.explain(thrown);
    }
  }

  finish(kept: boolean): Promise<void> {
    return this.#finished ??= this.#finish(kept);
  }

  async #finish(kept: boolean): Promise<void> {
    this.#client = null;
    // The export holds the bitmap: as long as it is there, the bitmap is busy.
    await this.exports.close(this.exportId);
    await this.onFinished(kept);
  }
}

function bitmapName(round: number): string {
  return `${ROUND_BITMAP_PREFIX}${round}`;
}

function bitmapOf(drive: Drive, round: number): { node: string; name: string } {
  return { node: drive.nodeName, name: bitmapName(round) };
}

function addBitmap(drive: Drive, round: number): unknown {
  const data = { ...bitmapOf(drive, round), granularity: GRANULARITY_BYTES };
  return { type: "block-dirty-bitmap-add", data };
}
