import assert from "node:assert/strict";
import fc from "fast-check";
import { Assembly, PIECE_HEADER_BYTES, piecesOf, tunnelOf } from "./tunnel_pieces.ts";

const packet = fc.uint8Array({ minLength: 1, maxLength: 3_000 });

Deno.test("a packet comes out of its pieces, in whatever order they arrive", () => {
  fc.assert(
    fc.property(packet, fc.integer({ min: 64, max: 1_500 }), fc.infiniteStream(fc.nat()), (
      sent,
      bytesMax,
      order,
    ) => {
      const pieces = piecesOf(7, 70_000, sent, bytesMax);
      assert.ok(pieces.every((piece) => piece.length <= bytesMax && tunnelOf(piece) === 7));
      const assembly = new Assembly();
      const shuffled = pieces.map((piece) => ({ piece, key: order.next().value! }))
        .sort((a, b) => a.key - b.key).map(({ piece }) => piece);
      const out = shuffled.map((piece) => assembly.add(piece)).filter((each) => each !== null);
      assert.deepEqual(out.map((each) => [...each]), [[...sent]]);
    }),
  );
});

Deno.test("pieces that come twice complete a packet once, and lost ones never do", () => {
  const [first, second] = piecesOf(1, 1, new Uint8Array(100), 60 + PIECE_HEADER_BYTES);
  const assembly = new Assembly();
  assert.equal(assembly.add(first), null);
  assert.equal(assembly.add(first), null);
  assert.equal(assembly.add(second)?.length, 100);
  // The same number again, much later: nothing of the old packet is left.
  assert.equal(assembly.add(second), null);
});

Deno.test("whatever a peer sends, no more than some packets wait for their pieces", () => {
  const assembly = new Assembly();
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    assert.doesNotThrow(() => assembly.add(bytes));
  }));
  for (let number = 0; number < 5_000; number++) {
    assembly.add(piecesOf(1, number, new Uint8Array(100), 60)[0]);
  }
  // The first one was given up.
  assert.equal(assembly.add(piecesOf(1, 0, new Uint8Array(100), 60)[1]), null);
});

Deno.test("pieces that make no IP packet together are dropped", () => {
  const assembly = new Assembly();
  const pieces = piecesOf(1, 1, new Uint8Array(90_000), 1_500);
  assert.deepEqual(pieces.map((piece) => assembly.add(piece)), pieces.map(() => null));
  const [whole] = piecesOf(1, 2, new Uint8Array(70_000), 100_000);
  assert.equal(assembly.add(whole), null);
});

Deno.test("a packet that the link cannot take in pieces is not sent", () => {
  assert.deepEqual(piecesOf(1, 1, new Uint8Array(100), PIECE_HEADER_BYTES), []);
  assert.deepEqual(piecesOf(1, 1, new Uint8Array(65_535), 100), []);
});
