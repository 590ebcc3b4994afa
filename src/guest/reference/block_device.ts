import { Buffer } from "node:buffer";
import fs from "node:fs";
import type { Extent } from "../../core/extents.ts";
import { GatewayError } from "../../core/errors.ts";
import { Bitmap } from "./bitmap.ts";
import { TRACKED_BYTES } from "./units.ts";

const ZEROES = Buffer.alloc(TRACKED_BYTES);

/**
 * A disk of the machine: a sparse raw file, and any number of named dirty bitmaps over it.
 *
 * I/O is positional and synchronous (`node:fs`), so that nothing falls between a write and the bits
 * that record it.
 */
export class BlockDevice {
  readonly #file: number;
  readonly #bitmaps = new Map<string, { readonly dirty: Bitmap; frozen: boolean }>();
  /** Tracked blocks that may hold something else than zeroes. */
  readonly #allocated: Bitmap;

  /**
   * Opens the image. A missing one is made, sparse; one of another size is cut or grown.
   *
   * @param keep leaves what an image holds; otherwise the disk starts empty
   */
  constructor(
    readonly id: string,
    readonly path: string,
    readonly sizeBytes: number,
    { keep }: { keep: boolean },
  ) {
    const had = keep && fs.existsSync(path) ? fs.statSync(path).blocks : 0;
    this.#file = fs.openSync(path, keep && fs.existsSync(path) ? "r+" : "w+", 0o600);
    // Not where it has the size: that would change its times, by which others know it as untouched.
    if (fs.fstatSync(this.#file).size !== sizeBytes) fs.ftruncateSync(this.#file, sizeBytes);
    this.#allocated = new Bitmap(Math.ceil(sizeBytes / TRACKED_BYTES));
    if (had > 0) this.#allocated.addAll();
  }

  /** Bytes that the image takes on its file system. */
  get storedBytes(): number {
    return (fs.fstatSync(this.#file).blocks ?? 0) * 512;
  }

  read(offsetBytes: number, into: Uint8Array): void {
    this.#check(offsetBytes, into.length);
    for (let done = 0; done < into.length;) {
      const got = this.#io(
        "read",
        () => fs.readSync(this.#file, into, done, into.length - done, offsetBytes + done),
      );
      if (got === 0) throw this.#failure("read", new Error("the image is shorter than the disk"));
      done += got;
    }
  }

  write(offsetBytes: number, bytes: Uint8Array): void {
    this.#check(offsetBytes, bytes.length);
    for (let done = 0; done < bytes.length;) {
      done += this.#io(
        "write",
        () => fs.writeSync(this.#file, bytes, done, bytes.length - done, offsetBytes + done),
      );
    }
    this.#mark(offsetBytes, bytes.length);
  }

  /** Makes the range read as zeroes; parts that do already are not written, so holes stay. */
  zero(offsetBytes: number, lengthBytes: number): void {
    this.#check(offsetBytes, lengthBytes);
    const buffer = Buffer.alloc(TRACKED_BYTES);
    const end = offsetBytes + lengthBytes;
    for (let at = offsetBytes; at < end;) {
      const block = Math.floor(at / TRACKED_BYTES);
      const length = Math.min(end, (block + 1) * TRACKED_BYTES) - at;
      if (this.#allocated.has(block)) {
        const part = buffer.subarray(0, length);
        this.read(at, part);
        if (!part.equals(ZEROES.subarray(0, length))) this.write(at, ZEROES.subarray(0, length));
        if (length === TRACKED_BYTES) this.#allocated.delete(block);
      }
      at += length;
    }
  }

  /** Resolves when everything written is on stable storage; the machine runs on meanwhile. */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fsync(this.#file, (error) => error ? reject(this.#failure("flush", error)) : resolve());
    });
  }

  close(): void {
    fs.closeSync(this.#file);
  }

  startBitmap(name: string): void {
    this.#bitmaps.set(name, {
      dirty: new Bitmap(this.#allocated.length),
      frozen: false,
    });
  }

  /** A frozen bitmap that holds every block: what a first round has to carry. */
  addFullBitmap(name: string): void {
    const dirty = new Bitmap(this.#allocated.length);
    dirty.addAll();
    this.#bitmaps.set(name, { dirty, frozen: true });
  }

  freezeBitmap(name: string): void {
    this.#bitmap(name).frozen = true;
  }

  /** Adds the blocks of one bitmap to another. */
  mergeBitmap(from: string, into: string): void {
    this.#bitmap(into).dirty.addFrom(this.#bitmap(from).dirty);
  }

  endBitmap(name: string): void {
    this.#bitmaps.delete(name);
  }

  get bitmapNames(): string[] {
    return [...this.#bitmaps.keys()];
  }

  dirtyBytes(name: string): number {
    return Math.min(this.#bitmap(name).dirty.count * TRACKED_BYTES, this.sizeBytes);
  }

  /** The blocks of a bitmap as extents; `zero` where the block is known to hold nothing. */
  extents(name: string): Extent[] {
    return this.#extentsOf(this.#bitmap(name).dirty);
  }

  /** The whole disk as extents, `zero` where a block is known to hold nothing. */
  content(): Extent[] {
    const all = new Bitmap(this.#allocated.length);
    all.addAll();
    return this.#extentsOf(all);
  }

  #extentsOf(dirty: Bitmap): Extent[] {
    const extents: Extent[] = [];
    for (let block = dirty.next(0); block >= 0;) {
      const kind = this.#allocated.has(block) ? "data" : "zero";
      const first = block;
      do block++; while (
        block < dirty.length && dirty.has(block) &&
        (this.#allocated.has(block) ? "data" : "zero") === kind
      );
      const offsetBytes = first * TRACKED_BYTES;
      const lengthBytes = Math.min(block * TRACKED_BYTES, this.sizeBytes) - offsetBytes;
      extents.push({ offsetBytes, lengthBytes, kind });
      block = dirty.next(block);
    }
    return extents;
  }

  #mark(offsetBytes: number, lengthBytes: number): void {
    if (lengthBytes === 0) return;
    const last = Math.floor((offsetBytes + lengthBytes - 1) / TRACKED_BYTES);
    for (let block = Math.floor(offsetBytes / TRACKED_BYTES); block <= last; block++) {
      this.#allocated.add(block);
      for (const { dirty, frozen } of this.#bitmaps.values()) if (!frozen) dirty.add(block);
    }
  }

  #bitmap(name: string): { readonly dirty: Bitmap; frozen: boolean } {
    const bitmap = this.#bitmaps.get(name);
    if (bitmap) return bitmap;
    throw new GatewayError("guest_state", `Cannot use bitmap ${name}: ${this.id} has none`, {
      hint: "Begin the move again",
    });
  }

  #check(offsetBytes: number, lengthBytes: number): void {
    const fits = Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(lengthBytes) &&
      offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes + lengthBytes <= this.sizeBytes;
    if (!fits) {
      throw new RangeError(`${this.id} has no ${lengthBytes} bytes at offset ${offsetBytes}`);
    }
  }

  #io<T>(action: string, io: () => T): T {
    try {
      return io();
    } catch (thrown) {
      throw this.#failure(action, thrown);
    }
  }

  #failure(action: string, cause: unknown): GatewayError {
    const full = (cause as { code?: string }).code === "ENOSPC";
    const message = cause instanceof Error ? cause.message : String(cause);
    return new GatewayError(
      full ? "disk_full" : "disk_io",
      `Cannot ${action} disk ${this.id}: ${message}`,
      {
        hint: full ? "Make room on the file system of the state directory" : "Check the storage",
        cause,
      },
    );
  }
}
