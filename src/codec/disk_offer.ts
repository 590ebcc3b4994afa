/**
 * What a disk holds, as digests of its blocks of 64 KiB (`src/image/block_map.ts`): payload of
 * `diskOffer` frames, and body of the records that keep them.
 *
 * ```
 * varint disk, first block, 1 in the last payload of all and 0 else, number of runs, then for each:
 * varint 4 * blocks + state (0 unknown, 1 zero, 2 digests), with state 2 then 16 bytes for each
 * ```
 *
 * The first run begins at the first block, each other one where the one before ends. Digests do not
 * compress, so there is no envelope.
 */
import { BLOCK_KNOWN, BLOCK_UNKNOWN, BLOCK_ZERO, type BlockMap } from "../image/block_map.ts";
import { DIGEST_WORDS } from "../image/page_digest.ts";
import { batchInvalid, ByteSink, ByteSource } from "./bytes.ts";

/** Bytes of one payload at most, about: 8,192 digests, half a GiB of a disk. */
const PAYLOAD_BYTES = 128 * 1024;
const DIGEST_BYTES = 4 * DIGEST_WORDS;
const RUN_BYTES_MAX = 9;

/** How a payload is read into maps: in order, and each block at most once. */
export class DiskOfferReader {
  #disk = 0;
  #nextBlock = 0;
  /** The last payload was read: what no run has named stays unknown. */
  complete = false;

  /** @param maps of each disk, by its number; what is offered for a disk without one is dropped */
  constructor(private readonly maps: readonly (BlockMap | null)[]) {}

  /**
   * Reads the next payload.
   *
   * @throws {GatewayError} `batch_invalid`; the maps may hold a part of it by then
   */
  read(payload: Uint8Array): void {
    if (this.complete) throw batchInvalid("an offer goes on after its end");
    const source = new ByteSource(payload);
    const disk = source.varint();
    let block = source.varint();
    const last = source.varint();
    if (last > 1) throw batchInvalid(`an offer with mark ${last}`);
    if (disk >= this.maps.length) throw batchInvalid(`there is no disk ${disk}`);
    const isBehind = disk < this.#disk || (disk === this.#disk && block < this.#nextBlock);
    if (isBehind) throw batchInvalid("an offer goes back");
    const runs = source.count(1, "runs");
    if (runs === 0 && last === 0) throw batchInvalid("an offer without runs");
    const map = this.maps[disk];
    for (let run = 0; run < runs; run++) block += readRun(source, map, block);
    source.end();
    this.#disk = disk;
    this.#nextBlock = block;
    this.complete = last === 1;
  }
}

/** @returns the number of blocks */
function readRun(source: ByteSource, map: BlockMap | null, first: number): number {
  const coded = source.varint();
  const count = Math.floor(coded / 4);
  const state = coded % 4;
  const fits = map === null || first + count <= map.blockCount;
  if (count === 0 || !fits) throw batchInvalid(`an offer of blocks ${first} + ${count}`);
  switch (state) {
    case BLOCK_UNKNOWN:
    case BLOCK_ZERO:
      map?.setRange(first, count, state);
      return count;
    case BLOCK_KNOWN: {
      // Compared with what follows before anything is made of it.
      const bytes = source.raw(count * DIGEST_BYTES);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const digest = new Uint32Array(DIGEST_WORDS);
      for (let i = 0; i < count; i++) {
        for (let word = 0; word < DIGEST_WORDS; word++) {
          digest[word] = view.getUint32(i * DIGEST_BYTES + 4 * word);
        }
        map?.setDigest(first + i, digest);
      }
      return count;
    }
    default:
      throw batchInvalid(`a block in state ${state}`);
  }
}

/** Payloads that hold what is known of some blocks; none of them is the last one. */
export function* offerBlocks(
  disk: number,
  map: BlockMap,
  first = 0,
  count = map.blockCount - first,
): Generator<Uint8Array> {
  const sink = new ByteSink(PAYLOAD_BYTES);
  let runs = 0;
  let from = first;
  const taken = (upTo: number) => {
    const payload = join(headOf(disk, from, 0, runs), sink.view());
    sink.clear();
    runs = 0;
    from = upTo;
    return payload;
  };
  for (const run of map.runs(first, count)) {
    for (let block = run.first; block < run.first + run.count;) {
      let part = run.first + run.count - block;
      if (run.state === BLOCK_KNOWN) {
        part = Math.min(part, Math.floor((PAYLOAD_BYTES - sink.lengthBytes) / DIGEST_BYTES));
      }
      if (part <= 0 || sink.lengthBytes + RUN_BYTES_MAX > PAYLOAD_BYTES) {
        yield taken(block);
        continue;
      }
      sink.varint(4 * part + run.state);
      if (run.state === BLOCK_KNOWN) writeDigests(sink, map, block, part);
      runs++;
      block += part;
    }
  }
  if (runs > 0) yield taken(first + count);
}

/** The payload that ends an offer. `disk` is the last one that was offered. */
export function endOfOffer(disk: number, map: BlockMap | null): Uint8Array {
  return headOf(disk, map?.blockCount ?? 0, 1, 0);
}

function headOf(disk: number, first: number, last: 0 | 1, runs: number): Uint8Array {
  const sink = new ByteSink(32);
  for (const field of [disk, first, last, runs]) sink.varint(field);
  return sink.view().slice();
}

function join(head: Uint8Array, rest: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.byteLength + rest.byteLength);
  bytes.set(head);
  bytes.set(rest, head.byteLength);
  return bytes;
}

function writeDigests(sink: ByteSink, map: BlockMap, first: number, count: number): void {
  const bytes = new Uint8Array(count * DIGEST_BYTES);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) {
    for (let word = 0; word < DIGEST_WORDS; word++) {
      view.setUint32(i * DIGEST_BYTES + 4 * word, map.digestWord(first + i, word));
    }
  }
  sink.raw(bytes);
}
