import type { DiskDescription } from "../../guest/guest.ts";
import type { Channel } from "../../link/peer_link.ts";
import { type HeldImage, trackImages } from "../tracked_images.ts";
import type { DestinationActorDeps } from "./deps.ts";
import { offerDisks } from "./disk_offer.ts";
import { HeldBlocks } from "./held_blocks.ts";

/** Nobody waits for the end of a cancelled move; of a refused one the source may, paused. */
const CANCEL_FLUSH_MS = 30_000;
const REFUSAL_FLUSH_MS = 2_000;

type Deps = Pick<
  DestinationActorDeps,
  "id" | "guest" | "images" | "options" | "clock" | "log"
>;

/**
 * What the disks at this end hold, from before the move to after it: recalled from an earlier one,
 * offered to the source, followed while they are written, and kept where the move is given up.
 */
export class ReceivedDisks {
  readonly held: HeldBlocks;
  /** By number of the disk in the offer of the move: this site's own. */
  readonly #own: readonly (DiskDescription | null)[];
  #images: readonly HeldImage[] = [];
  #offered: Promise<void> = Promise.resolve();
  #applied: Promise<unknown> = Promise.resolve();
  #isOver = false;
  #isSettled = false;

  constructor(
    private readonly deps: Deps,
    source: readonly DiskDescription[],
    own: readonly DiskDescription[],
  ) {
    this.held = new HeldBlocks(source.map(({ sizeBytes }) => sizeBytes));
    this.#own = source.map(({ id }) => own.find((disk) => disk.id === id) ?? null);
  }

  /** True where the source is to wait for `offer`. */
  get offers(): boolean {
    return this.#own.length > 0 && !this.deps.options.disable.includes("warm");
  }

  /** Images that the move writes: what it leaves when it fails. */
  get writtenPaths(): string[] {
    return this.#own.flatMap((disk) => !disk || disk.readOnly || !disk.path ? [] : [disk.path]);
  }

  /** Takes up what is recorded of the images. They must not have been written for this move yet. */
  async recall(): Promise<void> {
    const { images, id, log } = this.deps;
    this.#images = await trackImages(images, this.#own, this.held.maps);
    if (!this.offers) return;
    this.#images = await Promise.all(this.#images.map(async (each) => {
      const known = await each.image.take();
      if (known === null) return each;
      log("info", `${id}: disk ${this.#own[each.number]!.id} is as an earlier move left it`);
      this.held.maps[each.number] = known;
      return { ...each, map: known };
    }));
  }

  /** Says what the disks hold, where the source waits for it; see `offerDisks`. Never rejects. */
  async offer(channel: Channel): Promise<void> {
    if (this.offers) await (this.#offered = this.#offer(channel));
  }

  #offer(channel: Channel): Promise<void> {
    const { guest, id, log } = this.deps;
    return offerDisks({
      machine: guest.destination,
      diskIds: this.#own.map((disk) => disk?.id ?? ""),
      maps: this.held.maps.map((map, number) => this.#own[number] === null ? null : map),
      channel,
      isOver: () => this.#isOver,
      failed: (error) => log("warn", `${id}: cannot tell what the disks hold: ${error}`),
    });
  }

  /** Applies one frame, after what was read for the offer and not after the end of the move. */
  async apply<T>(frame: () => Promise<T>): Promise<T> {
    await this.#offered;
    if (this.#isOver) return await new Promise<never>(() => {});
    const applied = frame();
    this.#applied = applied.catch(() => {});
    return await applied;
  }

  /**
   * No frame is applied any more, and what was is flushed, if that works in time: only then is
   * anything kept. Never rejects.
   *
   * @param isRefusal somebody waits for the end of the move
   */
  async settle(isRefusal: boolean): Promise<void> {
    this.#isOver = true;
    if (this.#images.length === 0) return;
    const limitMs = isRefusal ? REFUSAL_FLUSH_MS : CANCEL_FLUSH_MS;
    const waiting = new AbortController();
    const flushed = (async () => {
      await this.#offered;
      await this.#applied;
      await this.deps.guest.destination.flushDisks();
      return true;
    })().catch(() => false);
    const late = this.deps.clock.sleep(limitMs, waiting.signal).then(() => false, () => false);
    this.#isSettled = await Promise.race([flushed, late]);
    waiting.abort();
  }

  /** The machine is seen gone: records what its images hold. Never rejects. */
  async keep(): Promise<void> {
    if (!this.#isSettled) return;
    this.#isSettled = false;
    await Promise.all(this.#images.map(({ image, map }) => image.keep(map)));
  }
}
