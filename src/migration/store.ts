/** The content store of this site, as one move that arrives here sees it; see `src/store/`. */
export interface MoveStore {
  /** Contents that are kept at most, in bytes. */
  readonly bytesMax: number;
  /** False: contents of memory are not kept. */
  readonly keepsMemory: boolean;
  /** Hints of what the source may name, ascending; it stays there until `release`. */
  offer(): Float64Array;
  /** Copies the content of a name that the source may refer to; false where there is none. */
  get(name: Uint32Array, into: Uint8Array): boolean;
  /** Keeps a content that the source has sent, where there is room. Copied. */
  put(origin: "memory" | "disk", content: Uint8Array): void;
  /** The move refers to nothing any more. Idempotent. */
  release(): void;
}

/** What a destination says of its store in `prepared`. */
export interface StoreOffer {
  readonly bytesMax: number;
  readonly keepsMemory: boolean;
}
