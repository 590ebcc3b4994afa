import assert from "node:assert/strict";
import fc from "fast-check";
import { BODY_BYTES_MAX, type Message, MessageReader, MessageWriter } from "./messages.ts";

/** The two operations of a connection that messages use, over an array of chunks. */
class Wire {
  readonly #chunks: Uint8Array[] = [];
  closed = false;

  constructor(private readonly chunkBytesMax: number) {}

  get connection(): Deno.Conn {
    return this as unknown as Deno.Conn;
  }

  write(bytes: Uint8Array): Promise<number> {
    const taken = bytes.slice(0, this.chunkBytesMax);
    this.#chunks.push(taken);
    return Promise.resolve(taken.length);
  }

  read(into: Uint8Array): Promise<number | null> {
    const chunk = this.#chunks.shift();
    if (!chunk) return Promise.resolve(null);
    const taken = chunk.subarray(0, into.length);
    into.set(taken);
    if (taken.length < chunk.length) this.#chunks.unshift(chunk.subarray(taken.length));
    return Promise.resolve(taken.length);
  }

  /** What has been written and not been read, as one piece. */
  bytes(): Uint8Array {
    return Uint8Array.from(this.#chunks.flatMap((chunk) => [...chunk]));
  }
}

Deno.test("messages arrive whole and in order at any chunking, in however many parts they were", async () => {
  const head = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer()), {
    noNullPrototype: true,
  });
  const body = fc.uint8Array({ maxLength: 300 });
  const large = fc.integer({ min: 60_000, max: 140_000 }).map((n) => new Uint8Array(n).fill(n));
  const message = fc.record({ head, body: fc.oneof(body, large) }, { noNullPrototype: true });
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { maxLength: 5 }),
      fc.integer({ min: 1, max: 90_000 }),
      fc.nat({ max: 40_000 }),
      async (messages, chunkBytes, cutBytes) => {
        const wire = new Wire(
          Math.max(chunkBytes, messages.some((m) => m.body.length > 999) ? 999 : 1),
        );
        const writer = new MessageWriter(wire.connection);
        await Promise.all(
          messages.map(({ head, body }) =>
            writer.send(head, body.subarray(0, cutBytes), body.subarray(cutBytes))
          ),
        );
        assert.deepEqual(await readAll(wire), messages.map((each) => plain(each)));
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("a message cut anywhere is an end, never a message", async () => {
  const wire = new Wire(1_000);
  await new MessageWriter(wire.connection).send({ item: "pages", count: 1 }, new Uint8Array(20));
  const whole = wire.bytes();
  for (let cut = 0; cut < whole.length; cut++) {
    const part = new Wire(1_000);
    await part.write(whole.subarray(0, cut));
    assert.equal(await new MessageReader(part.connection).next(), null);
  }
});

Deno.test("announced lengths are checked before anything is allocated", async () => {
  for (const [headBytes, bodyBytes] of [[2 ** 32 - 1, 0], [2, BODY_BYTES_MAX + 1]]) {
    const prefix = new DataView(new ArrayBuffer(8));
    prefix.setUint32(0, headBytes, true);
    prefix.setUint32(4, bodyBytes, true);
    const wire = new Wire(1_000);
    await wire.write(new Uint8Array(prefix.buffer));
    await assert.rejects(() => new MessageReader(wire.connection).next(), {
      code: "frame_too_long",
    });
  }
});

Deno.test("a head that is no JSON object is refused", async () => {
  for (const text of ["", "[]", "null", "7", "{", "\xff"]) {
    const head = new TextEncoder().encode(text);
    const bytes = new Uint8Array(8 + head.length);
    new DataView(bytes.buffer).setUint32(0, head.length, true);
    bytes.set(head, 8);
    const wire = new Wire(1_000);
    await wire.write(bytes);
    await assert.rejects(() => new MessageReader(wire.connection).next(), {
      code: "frame_invalid",
    });
  }
});

async function readAll(wire: Wire): Promise<unknown[]> {
  const reader = new MessageReader(wire.connection);
  const messages: unknown[] = [];
  for (let next = await reader.next(); next !== null; next = await reader.next()) {
    messages.push(plain(next));
  }
  return messages;
}

function plain({ head, body }: Message): unknown {
  return { head: { ...head }, body: [...body] };
}
