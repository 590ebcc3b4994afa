import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { UNIT_BYTES } from "../image/content_name.ts";
import { PAYLOAD_BYTES_MAX } from "../wire/limits.ts";
import {
  decodeNeed,
  decodeNeeded,
  encodeNeed,
  encodeNeeded,
  NEED_NAMES_MAX,
} from "./need_frames.ts";
import { decodeStoreOffer, encodeStoreOffer, OFFER_FRAME_HINTS_MAX } from "./store_offer.ts";

const isInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "batch_invalid";

const hint = fc.nat(2 ** 31).chain((high) =>
  fc.nat(2 ** 17 - 1).map((low) => high * 2 ** 17 + low)
);
const hints = fc.uniqueArray(hint, { maxLength: 300 }).map((all) =>
  Float64Array.from(all.filter((each) => each < 2 ** 48)).sort()
);

Deno.test("an offer comes back as it was made, its last frame marked", () => {
  fc.assert(fc.property(hints, (hints) => {
    const frames = [...encodeStoreOffer(hints)].map(decodeStoreOffer);
    assert.deepEqual(frames, [{ hints, isLast: true }]);
  }));
  const many = Float64Array.from({ length: 2 * OFFER_FRAME_HINTS_MAX + 5 }, (_, i) => 9e8 * i);
  const payloads = [...encodeStoreOffer(many)];
  assert.deepEqual(payloads.map((each) => decodeStoreOffer(each).isLast), [false, false, true]);
  assert.deepEqual(payloads.flatMap((each) => [...decodeStoreOffer(each).hints]), [...many]);
  for (const { byteLength } of payloads) assert.ok(byteLength <= PAYLOAD_BYTES_MAX);
});

Deno.test("a thousand hints take less than six bytes each", () => {
  const random = Float64Array.from({ length: 100_000 }, (_, i) => (i * 0x9e3779b97f) % 2 ** 48)
    .sort();
  const bytes = [...encodeStoreOffer(random)].reduce((sum, each) => sum + each.byteLength, 0);
  assert.ok(bytes < 5.5 * random.length, `${bytes / random.length} bytes each`);
});

Deno.test("an offer that is cut, longer or out of order is refused", () => {
  fc.assert(
    fc.property(hints, (hints) => {
      const [payload] = encodeStoreOffer(hints);
      for (let bytes = 0; bytes < payload.byteLength; bytes++) {
        assert.throws(() => decodeStoreOffer(payload.subarray(0, bytes)), isInvalid, `${bytes}`);
      }
      const longer = new Uint8Array(payload.byteLength + 1);
      longer.set(payload);
      assert.throws(() => decodeStoreOffer(longer), isInvalid);
    }),
    { numRuns: 30 },
  );
  const [payload] = encodeStoreOffer(Float64Array.of(5, 5));
  assert.throws(() => decodeStoreOffer(payload), isInvalid);
  const beyond = [...encodeStoreOffer(Float64Array.of(2 ** 48))][0];
  assert.throws(() => decodeStoreOffer(beyond), isInvalid);
  const many = new Uint8Array(20);
  new DataView(many.buffer).setUint8(0, 1);
  new DataView(many.buffer).setUint32(4, 0xffff_ffff);
  assert.throws(() => decodeStoreOffer(many), isInvalid);
});

const name = fc.array(fc.nat(2 ** 32 - 1), { minLength: 8, maxLength: 8 })
  .map((words) => Uint32Array.from(words));

Deno.test("a need comes back as it was asked, and nothing else is one", () => {
  const need = fc.record({
    channel: fc.constantFrom("memory" as const, "disk" as const),
    number: fc.nat(2 ** 32 - 1),
    names: fc.array(name, { minLength: 1, maxLength: NEED_NAMES_MAX }),
  }, { noNullPrototype: true });
  fc.assert(fc.property(need, (need) => {
    const payload = encodeNeed(need);
    assert.deepEqual(decodeNeed(payload), need);
    for (const bytes of [0, 7, 8, payload.byteLength - 1]) {
      assert.throws(() => decodeNeed(payload.subarray(0, bytes)), isInvalid);
    }
    payload[1] = 5;
    assert.throws(() => decodeNeed(payload), isInvalid);
  }));
  const names = Array.from({ length: NEED_NAMES_MAX + 1 }, () => new Uint32Array(8));
  assert.throws(() => decodeNeed(encodeNeed({ channel: "disk", number: 1, names })), isInvalid);
});

Deno.test("an answer holds whole contents, and the largest one fits a frame", () => {
  const contents = Array.from(
    { length: NEED_NAMES_MAX },
    (_, i) => crypto.getRandomValues(new Uint8Array(UNIT_BYTES)).fill(i, 0, 8),
  );
  const payload = encodeNeeded(7, contents);
  assert.ok(payload.byteLength <= PAYLOAD_BYTES_MAX);
  assert.deepEqual(decodeNeeded(payload), { number: 7, contents });
  assert.deepEqual(decodeNeeded(encodeNeeded(8, [])), { number: 8, contents: [] });
  for (let bytes = 0; bytes < 40; bytes++) {
    assert.throws(() => decodeNeeded(payload.subarray(0, bytes)), isInvalid);
  }
});
