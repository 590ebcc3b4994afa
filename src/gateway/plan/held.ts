/** What a destination has of a machine before a move begins. */
export interface Held {
  /** Pages of its memory from an earlier move between these two sites. */
  readonly memoryBytes: number;
  readonly disks: readonly {
    readonly id: string;
    /** What its image takes on its storage. */
    readonly bytes: number;
    /** The image is as an earlier move has left it. */
    readonly isKnown: boolean;
  }[];
  /** Contents in the site's store that came from this source. */
  readonly storeBytes: number;
}
