import { chunksOf } from "./parts.ts";

/** A connection whose other end says some bytes, cut in some way, takes everything, and leaves. */
export class ScriptedConn {
  writtenBytes = 0;
  readonly #chunks: Iterator<Uint8Array>;
  #rest = new Uint8Array(0);
  #isClosed = false;

  constructor(bytes: Uint8Array, way: number) {
    this.#chunks = chunksOf(bytes, way);
  }

  /** As what reads from it takes it. */
  get conn(): Deno.UnixConn {
    return this as unknown as Deno.UnixConn;
  }

  read(into: Uint8Array): Promise<number | null> {
    if (this.#isClosed) return Promise.resolve(null);
    if (this.#rest.length === 0) {
      const next = this.#chunks.next();
      if (next.done) return Promise.resolve(null);
      this.#rest = new Uint8Array(next.value);
    }
    const part = this.#rest.subarray(0, into.length);
    into.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return Promise.resolve(part.length);
  }

  write(bytes: Uint8Array): Promise<number> {
    this.writtenBytes += bytes.length;
    return this.#isClosed ? Promise.reject(new Error("closed")) : Promise.resolve(bytes.length);
  }

  close(): void {
    this.#isClosed = true;
  }
}
