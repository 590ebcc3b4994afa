import type { Clock } from "../core/clock.ts";
import { type BlockMap, mapOf } from "../image/block_map.ts";
import type { ImageFile, ImageRecords, TrackedImage } from "../migration/ports.ts";
import {
  type FileIdentity,
  identityOf,
  isOpenHere,
  isSelfContained,
  sameIdentity,
  syncPath,
} from "./image_file.ts";
import { readRecord, writeRecord } from "./record_file.ts";

/**
 * A change time moves in steps of up to 10 ms. An identity counts only when it is older than that:
 * a later write within the same step would leave it as it is.
 */
const SETTLED_MS = 50;
const VERSION = 1;

interface Deps {
  /** Made when the first record is written; 0700. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/**
 * Records of what disk images hold, one file for each, named after the path of its image and titled
 * with everything that it depends on (design, rule 6). A record is good while the file of the image
 * is the same, by inode, size, and times in nanoseconds; everything else means reading the image.
 */
export class ImageRecordFiles implements ImageRecords {
  /** Records that are being written, one after the other. */
  #writing: Promise<void> = Promise.resolve();

  constructor(private readonly deps: Deps) {}

  async track(image: ImageFile): Promise<TrackedImage | null> {
    // A machine's own folder gives a relative path another meaning than the gateway's.
    if (!image.path.startsWith("/")) return null;
    const identity = await identityOf(image.path);
    if (identity === null || !await isOpenHere(image.path, identity)) return null;
    return {
      take: () => this.#take(image),
      keep: (map) => this.#keep(image, map),
    };
  }

  /** There is a record of the image, of its present file or an earlier one. */
  async has(path: string): Promise<boolean> {
    await this.#writing;
    return await Deno.stat(await this.#fileOf(path)).then(() => true, () => false);
  }

  /** The image is deleted: so is what was known of it. */
  async forget(path: string): Promise<void> {
    await this.#writing;
    await Deno.remove(await this.#fileOf(path)).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) {
        this.#complain("delete the record of", path, error);
      }
    });
  }

  /** Resolves when nothing is being written any more. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  async #take(image: ImageFile): Promise<BlockMap | null> {
    await this.#writing;
    const { path } = image;
    try {
      const file = await this.#fileOf(path);
      const identity = await identityOf(path);
      const map = mapOf(image.sizeBytes);
      if (identity === null || map === null) return null;
      let found: "read" | "other" | "none";
      try {
        found = await readRecord(file, titleOf(image, identity), map);
      } catch (error) {
        this.#complain("use the record of", path, error);
        found = "other";
      }
      if (found === "none") return null;
      if (found === "other") {
        this.deps.log("info", `${path} has changed since it was recorded: it is read again`);
      }
      // Durably, before anybody writes the image: after a crash of the host its times may be older
      // than its content.
      await Deno.remove(file);
      await syncPath(this.deps.directory);
      return found === "read" ? map : null;
    } catch (error) {
      this.#complain("use the record of", path, error);
      return null;
    }
  }

  async #keep(image: ImageFile, map: BlockMap): Promise<void> {
    const identity = await identityOf(image.path);
    if (identity === null) return;
    this.#writing = this.#writing.then(() => this.#write(image, identity, map)).catch((error) =>
      this.#complain("record what is in", image.path, error)
    );
  }

  async #write(image: ImageFile, identity: FileIdentity, map: BlockMap): Promise<void> {
    const { clock, directory } = this.deps;
    if (!await isSelfContained(image, identity)) return;
    await syncPath(image.path);
    await clock.sleep(SETTLED_MS);
    const present = await identityOf(image.path);
    if (present === null || !sameIdentity(present, identity)) return;
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
    const file = await this.#fileOf(image.path);
    const name = file.slice(directory.length + 1);
    await writeRecord(directory, name, titleOf(image, identity), map);
  }

  async #fileOf(path: string): Promise<string> {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(path));
    return `${this.deps.directory}/${new Uint8Array(digest).toHex().slice(0, 32)}.blocks`;
  }

  #complain(action: string, path: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.deps.log("warn", `cannot ${action} ${path}: ${reason}`);
  }
}

/** Everything that a record depends on: compared as a whole, never taken apart. */
function titleOf({ path, format, sizeBytes }: ImageFile, file: FileIdentity): string {
  return JSON.stringify({ version: VERSION, path, format, sizeBytes, file });
}
