import assert from "node:assert/strict";
import { zstdCompressSync } from "node:zlib";
import { ByteSink } from "../../../codec/bytes.ts";
import { BATCH_HEADER_BYTES, BODY_BYTES_MAX, open, seal } from "../../../codec/envelope.ts";
import { GatewayError } from "../../../core/errors.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import type { FuzzTarget } from "../target.ts";

/** Both parts of a batch. */
export interface BodyParts {
  readonly contents: Uint8Array;
  readonly description: Uint8Array;
}

export function sealed({ contents, description }: BodyParts, level: number | null = 3): Uint8Array {
  const sink = new ByteSink(contents.length + description.length + 16);
  sink.raw(contents);
  return seal(sink, description, level);
}

/**
 * Another form of a batch: mostly of what is inside, sealed again as it has to be, because nothing
 * behind the envelope would ever see the others.
 */
export function mutateSealed(
  payload: Uint8Array,
  dice: Dice,
  others: readonly Uint8Array[],
  words: readonly Uint8Array[] = [],
): Uint8Array {
  const body = dice.chance(0.1) ? null : opened(payload);
  if (body === null) return mutateBytes(payload, dice, others);
  const other = others.length > 0 && dice.chance(0.3) ? opened(dice.pick(others)) : null;
  const inside = other === null ? [] : [other.description];
  const inContents = dice.chance(0.2);
  const contents = inContents ? mutateBytes(body.contents, dice) : body.contents;
  const description = inContents
    ? body.description
    : mutateBytes(body.description, dice, inside, words);
  if (contents.length + description.length > BODY_BYTES_MAX) return payload;
  return sealed({ contents, description }, dice.chance(0.5) ? null : 1);
}

export function opened(payload: Uint8Array): BodyParts | null {
  try {
    return open(payload);
  } catch (thrown) {
    if (thrown instanceof GatewayError) return null;
    throw thrown;
  }
}

/** The envelope of all batches, compressed ones that become large among them. */
export function envelope(): FuzzTarget {
  return {
    name: "envelope",
    reads: "the envelope of batches with its compressed body (src/codec/envelope.ts)",
    codes: ["batch_invalid"],
    form: "bytes",
    bufferBytesMax: 2 * BODY_BYTES_MAX,
    // zlib's own chunk beside what it gives.
    heapBytesMax: 8 * BODY_BYTES_MAX,
    testExecutions: 4_000,
    generate: (dice) =>
      dice.chance(0.3) ? bomb(dice) : sealed({
        contents: dice.bytes(dice.size(20_000)),
        description: dice.bytes(dice.size(300)),
      }, dice.pick([null, 1, 3])),
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    run(input) {
      const { contents, description } = open(input);
      const bytes = contents.length + description.length;
      assert.ok(bytes <= BODY_BYTES_MAX, `${bytes} bytes`);
      return `${input[1] === 0 ? "raw" : "zstd"} ${bytes === 0 ? "empty" : "filled"}`;
    },
  };
}

/** Some bytes that decompress to far more than they announce, or to less. */
function bomb(dice: Dice): Uint8Array {
  const bytes = new Uint8Array(dice.pick([1, 1_000, BODY_BYTES_MAX, 64 * 2 ** 20]));
  const packed = zstdCompressSync(bytes);
  const frames = dice.chance(0.3) ? 20 : 1;
  const payload = new Uint8Array(BATCH_HEADER_BYTES + frames * packed.length);
  for (let i = 0; i < frames; i++) payload.set(packed, BATCH_HEADER_BYTES + i * packed.length);
  const header = new DataView(payload.buffer);
  header.setUint8(0, 1);
  header.setUint8(1, 1);
  header.setUint32(4, dice.pick([0, 1, bytes.length, BODY_BYTES_MAX, dice.number() % 2 ** 32]));
  header.setUint32(8, dice.pick([0, 0, 1, dice.number() % 2 ** 32]));
  header.setUint32(12, payload.length - BATCH_HEADER_BYTES);
  return payload;
}
