import assert from "node:assert/strict";
import fc from "fast-check";
import { pack } from "./bytes.ts";
import { encodeStatusPayload } from "./block_status.ts";
import { CHUNK, CHUNK_FLAG_DONE, MAX_ERROR_CHUNK_BYTES } from "./constants.ts";
import { encodeErrorPayload } from "./error_chunk.ts";
import { DEFAULT_BLOCK_SIZES } from "./handshake.ts";
import { Intake } from "./intake.ts";
import { type Command, type Outcome, RequestsInFlight } from "./requests_in_flight.ts";
import { decodeRequest, encodeChunkHeader, encodeSimpleReply } from "./transmission.ts";

const OFFSET = 2 ** 40;

function client(structured = true) {
  const completed: { tag: string; outcome: Outcome }[] = [];
  const contexts = new Map([[1, "base:allocation"], [2, "qemu:dirty-bitmap:b"]]);
  const negotiated = { sizeBytes: 2 ** 41, flags: 0, blockSizes: DEFAULT_BLOCK_SIZES };
  const requests = new RequestsInFlight<string>(
    { ...negotiated, structured, contexts },
    (tag, outcome) => completed.push({ tag, outcome }),
  );
  const intake = new Intake(requests.replies());
  return { requests, completed, feed: (bytes: Uint8Array) => intake.feed(bytes) };
}

function read(lengthBytes: number): Command & { type: "read" } {
  return { type: "read", offsetBytes: OFFSET, into: new Uint8Array(lengthBytes).fill(0xee) };
}

function chunk(cookie: bigint, type: number, payload: Uint8Array, done = false): Uint8Array {
  const flags = done ? CHUNK_FLAG_DONE : 0;
  return pack(encodeChunkHeader({ flags, type, cookie, lengthBytes: payload.length }), payload);
}

const data = (cookie: bigint, at: number, bytes: Uint8Array, done = false) =>
  chunk(cookie, CHUNK.data, pack([64, OFFSET + at], bytes), done);
const hole = (cookie: bigint, at: number, lengthBytes: number, done = false) =>
  chunk(cookie, CHUNK.hole, pack([64, OFFSET + at], [32, lengthBytes]), done);
const end = (cookie: bigint) => chunk(cookie, CHUNK.none, new Uint8Array(0), true);

Deno.test("chunks of several reads, interleaved, out of order, at any chunking, end in place", () => {
  const piece = fc.record({ lengthBytes: fc.integer({ min: 1, max: 30 }), zero: fc.boolean() });
  const reads = fc.array(fc.array(piece, { minLength: 1, maxLength: 6 }), {
    minLength: 1,
    maxLength: 5,
  });
  const inputBytes = fc.integer({ min: 1, max: 80 });
  fc.assert(fc.property(reads, inputBytes, fc.infiniteStream(fc.nat()), (reads, step, random) => {
    const { requests, completed, feed } = client();
    const wire: { cookie: bigint; bytes: Uint8Array }[] = [];
    const expected = new Map<string, { command: Command & { type: "read" }; bytes: number[] }>();
    for (const [index, pieces] of reads.entries()) {
      const command = read(pieces.reduce((sum, piece) => sum + piece.lengthBytes, 0));
      const { cookie } = decodeRequest(requests.submit(command, `read ${index}`));
      const bytes: number[] = [];
      for (const { lengthBytes, zero } of pieces) {
        const content = new Uint8Array(lengthBytes).map(() =>
          zero ? 0 : random.next().value! % 256
        );
        const at = bytes.length;
        wire.push({
          cookie,
          bytes: zero ? hole(cookie, at, lengthBytes) : data(cookie, at, content),
        });
        bytes.push(...content);
      }
      expected.set(`read ${index}`, { command, bytes });
    }
    const order = wire.map((item) => ({ item, key: random.next().value! }));
    order.sort((a, b) => a.key - b.key);
    const ends = [...new Set(wire.map(({ cookie }) => cookie))].map(end);
    const stream = pack(...order.map(({ item }) => item.bytes), ...ends);
    for (let at = 0; at < stream.length; at += step) {
      const input = stream.slice(at, at + step);
      feed(input);
      input.fill(0xdd);
    }
    assert.equal(completed.length, reads.length);
    for (const { tag, outcome } of completed) {
      assert.deepEqual(outcome, { kind: "done" });
      const { command, bytes } = expected.get(tag)!;
      assert.deepEqual([...command.into], bytes);
    }
    assert.equal(requests.count, 0);
  }));
});

Deno.test("without structured replies data follows the simple reply", () => {
  const { requests, completed, feed } = client(false);
  const command = read(5);
  const { cookie } = decodeRequest(requests.submit(command, "r"));
  feed(pack(encodeSimpleReply({ errno: 0, cookie }), new Uint8Array([1, 2, 3, 4, 5])));
  assert.deepEqual([...command.into], [1, 2, 3, 4, 5]);
  assert.deepEqual(completed, [{ tag: "r", outcome: { kind: "done" } }]);
});

Deno.test("an error may come between the chunks of a read and counts at its end", () => {
  const { requests, completed, feed } = client();
  const { cookie } = decodeRequest(requests.submit(read(8), "r"));
  const failure = { errno: 5, message: "bad sector", offsetBytes: OFFSET + 4 };
  feed(data(cookie, 0, new Uint8Array(4)));
  feed(chunk(cookie, CHUNK.errorOffset, encodeErrorPayload(failure)));
  assert.equal(completed.length, 0);
  feed(end(cookie));
  assert.deepEqual(completed, [{ tag: "r", outcome: { kind: "failed", failure } }]);
});

Deno.test("an unknown error chunk fails its request only", () => {
  const { requests, completed, feed } = client();
  const { cookie } = decodeRequest(requests.submit({ type: "flush" }, "f"));
  feed(chunk(cookie, 0x80ff, pack([32, 95], [16, 2], "no", "more of it"), true));
  const failure = { errno: 95, message: "no", offsetBytes: null };
  assert.deepEqual(completed, [{ tag: "f", outcome: { kind: "failed", failure } }]);
});

Deno.test("a block status has one list per selected context", () => {
  const { requests, completed, feed } = client();
  const command = { type: "blockStatus", offsetBytes: 4096, lengthBytes: 8192 } as const;
  const { cookie } = decodeRequest(requests.submit(command, "s"));
  const one = [{ offsetBytes: 4096, lengthBytes: 8192, flags: 0 }];
  const two = [{ offsetBytes: 4096, lengthBytes: 4096, flags: 1 }];
  feed(chunk(cookie, CHUNK.blockStatus, encodeStatusPayload(2, two)));
  feed(chunk(cookie, CHUNK.blockStatus, encodeStatusPayload(1, one), true));
  const contexts = new Map([[1, one], [2, two]]);
  assert.deepEqual(completed, [{ tag: "s", outcome: { kind: "status", contexts } }]);
});

const bytes = (lengthBytes: number) => new Uint8Array(lengthBytes);
const statusOf = (id: number) =>
  encodeStatusPayload(id, [{ offsetBytes: 0, lengthBytes: 512, flags: 0 }]);

/** What a server may send for a read of 16 bytes with cookie 1, and must not. */
const HOSTILE_READS: [name: string, stream: Uint8Array][] = [
  ["an unknown cookie", end(2n)],
  ["a cookie above 2^53", end(2n ** 64n - 1n)],
  ["no magic", bytes(20)],
  ["bytes before the read", data(1n, -1, bytes(4))],
  ["bytes after the read", data(1n, 13, bytes(4))],
  ["bytes twice", pack(data(1n, 0, bytes(4)), hole(1n, 3, 2))],
  ["a huge hole", hole(1n, 0, 0xffff_ffff)],
  ["an empty hole", hole(1n, 0, 0)],
  ["an empty data chunk", chunk(1n, CHUNK.data, bytes(8))],
  ["an end without all bytes", pack(data(1n, 0, bytes(15)), end(1n))],
  ["a second end", pack(data(1n, 0, bytes(16), true), end(1n))],
  ["a simple reply with data", encodeSimpleReply({ errno: 0, cookie: 1n })],
  ["a block status", chunk(1n, CHUNK.blockStatus, statusOf(1))],
  ["an unknown chunk", chunk(1n, 9, bytes(3))],
  ["a none chunk that ends nothing", chunk(1n, CHUNK.none, bytes(0))],
  ["an error that is none", chunk(1n, CHUNK.error, pack([32, 0], [16, 0]), true)],
  ["an error with a message beyond it", chunk(1n, CHUNK.error, pack([32, 5], [16, 9]))],
];

for (const [name, stream] of HOSTILE_READS) {
  Deno.test(`a reply to a read with ${name} is a protocol error`, () => {
    const { requests, feed } = client();
    requests.submit(read(16), "r");
    assert.throws(() => feed(stream), { name: "GatewayError", code: "nbd_protocol" });
  });
}

Deno.test("hostile chunk lengths are refused by the header alone", () => {
  const header = (type: number, lengthBytes: number) =>
    encodeChunkHeader({ flags: 0, type, cookie: 1n, lengthBytes });
  for (
    const hostile of [
      header(CHUNK.data, 25),
      header(CHUNK.data, 0xffff_ffff),
      header(CHUNK.hole, 13),
      header(CHUNK.error, MAX_ERROR_CHUNK_BYTES + 1),
    ]
  ) {
    const { requests, feed } = client();
    requests.submit(read(16), "r");
    assert.throws(() => feed(hostile), { code: "nbd_protocol" });
  }
});

Deno.test("block status of a foreign, doubled or missing context is a protocol error", () => {
  const wrong = [
    chunk(1n, CHUNK.blockStatus, statusOf(3)),
    pack(
      chunk(1n, CHUNK.blockStatus, statusOf(1)),
      chunk(1n, CHUNK.blockStatus, statusOf(1)),
    ),
    chunk(1n, CHUNK.blockStatus, statusOf(1), true),
    encodeChunkHeader({ flags: 0, type: 5, cookie: 1n, lengthBytes: 0x7fff_fff4 }),
    encodeSimpleReply({ errno: 0, cookie: 1n }),
  ];
  for (const stream of wrong) {
    const { requests, feed } = client();
    requests.submit({ type: "blockStatus", offsetBytes: 0, lengthBytes: 1024 }, "s");
    assert.throws(() => feed(stream), { code: "nbd_protocol" });
  }
});

Deno.test("chunks that were not negotiated are a protocol error", () => {
  const { requests, feed } = client(false);
  requests.submit(read(16), "r");
  assert.throws(() => feed(hole(1n, 0, 16, true)), { code: "nbd_protocol" });
});

Deno.test("mutated replies never get past the typed errors nor complete a request twice", () => {
  const valid = pack(data(1n, 0, bytes(9)), hole(1n, 9, 7, true));
  const mutation = fc.record({ at: fc.nat(valid.length - 1), value: fc.nat(255) });
  fc.assert(fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
    const { requests, completed, feed } = client();
    const command = read(16);
    requests.submit(command, "r");
    const stream = valid.slice();
    for (const { at, value } of mutations) stream[at] = value;
    try {
      feed(stream);
    } catch (cause) {
      assert.equal((cause as { name: string }).name, "GatewayError");
    }
    assert(completed.length <= 1);
    const done = completed.some(({ outcome }) => outcome.kind === "done");
    if (done) assert(!command.into.includes(0xee) || stream.includes(0xee));
  }));
});
