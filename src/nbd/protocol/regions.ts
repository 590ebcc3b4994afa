import { MAX_READ_REGIONS } from "./constants.ts";
import { protocolFailure } from "./failure.ts";

/**
 * Which bytes of a read have arrived. Chunks come in any order but never overlap; in order, which
 * is what servers do, there is one region that grows.
 */
export class Regions {
  /** Sorted, not touching: start, end, start, end. */
  readonly #bounds: number[] = [];
  #coveredBytes = 0;

  get coveredBytes(): number {
    return this.#coveredBytes;
  }

  /** @throws {GatewayError} `nbd_protocol` when bytes come twice or in too many pieces */
  add(start: number, end: number): void {
    const bounds = this.#bounds;
    let index = bounds.length;
    while (index > 0 && bounds[index - 2] >= start) index -= 2;
    const previousEnd = index > 0 ? bounds[index - 1] : -1;
    const nextStart = index < bounds.length ? bounds[index] : Infinity;
    if (start < previousEnd || end > nextStart) {
      throw protocolFailure(`it sends bytes ${start} to ${end} of a read twice`);
    }
    this.#coveredBytes += end - start;
    const joinsPrevious = start === previousEnd;
    const joinsNext = end === nextStart;
    if (joinsPrevious && joinsNext) bounds.splice(index - 1, 2);
    else if (joinsPrevious) bounds[index - 1] = end;
    else if (joinsNext) bounds[index] = start;
    else {
      if (bounds.length >= 2 * MAX_READ_REGIONS) {
        throw protocolFailure(`it scatters a read over more than ${MAX_READ_REGIONS} regions`);
      }
      bounds.splice(index, 0, start, end);
    }
  }
}
