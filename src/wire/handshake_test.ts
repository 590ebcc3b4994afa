import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import {
  BUNDLE_ID_BYTES,
  decodeHandshakeMessage,
  DIGEST_BYTES,
  encodeHello,
  encodeProof,
  encodeRefusal,
  HANDSHAKE_MESSAGE_BYTES_MAX,
  type Hello,
  KEY_CERTIFICATE_BYTES_MAX,
  LANES_MAX,
  NONCE_BYTES,
  PROOF_BYTES,
  PROTOCOL_VERSION,
  transcript,
} from "./handshake.ts";

const exactBytes = (lengthBytes: number) =>
  fc.uint8Array({ minLength: lengthBytes, maxLength: lengthBytes });

const hellos: fc.Arbitrary<Hello> = fc.record({
  version: fc.constant(PROTOCOL_VERSION),
  nonce: exactBytes(NONCE_BYTES),
  certificateDigest: exactBytes(DIGEST_BYTES),
  bundleId: exactBytes(BUNDLE_ID_BYTES),
  laneCount: fc.integer({ min: 2, max: LANES_MAX }),
  laneIndex: fc.constantFrom(0, 1),
  site: fc.stringMatching(/^[a-z0-9._-]{1,64}$/),
  incarnation: fc.uuid(),
}, { noNullPrototype: true });

const example: Hello = {
  version: PROTOCOL_VERSION,
  nonce: new Uint8Array(NONCE_BYTES).fill(1),
  certificateDigest: new Uint8Array(DIGEST_BYTES).fill(2),
  bundleId: new Uint8Array(BUNDLE_ID_BYTES).fill(3),
  laneIndex: 1,
  laneCount: 5,
  site: "a",
  incarnation: "i",
};

function failsWith(code: string, part: string) {
  return (error: unknown) =>
    error instanceof GatewayError && error.code === code && error.message.includes(part);
}

Deno.test("every handshake message comes back as it was", () => {
  fc.assert(fc.property(hellos, (hello) => {
    const bytes = encodeHello(hello);
    assert.ok(bytes.length - 4 <= HANDSHAKE_MESSAGE_BYTES_MAX);
    assert.equal(new DataView(bytes.buffer).getUint32(0), bytes.length - 4);
    assert.deepEqual(decodeHandshakeMessage(bytes.subarray(4)), { kind: "hello", hello, bytes });
  }));
  fc.assert(fc.property(exactBytes(PROOF_BYTES), (signature) => {
    const decoded = decodeHandshakeMessage(encodeProof(signature).subarray(4));
    assert.deepEqual(decoded, { kind: "proof", signature, certificate: null });
  }));
  const certificates = fc.uint8Array({ minLength: 1, maxLength: KEY_CERTIFICATE_BYTES_MAX });
  fc.assert(fc.property(exactBytes(PROOF_BYTES), certificates, (signature, certificate) => {
    const bytes = encodeProof(signature, certificate);
    assert.ok(bytes.length - 4 <= HANDSHAKE_MESSAGE_BYTES_MAX);
    const decoded = decodeHandshakeMessage(bytes.subarray(4));
    assert.deepEqual(decoded, { kind: "proof", signature, certificate });
  }));
});

Deno.test("a certificate that is empty, too long or cut off is refused", () => {
  const signature = new Uint8Array(PROOF_BYTES);
  const whole = encodeProof(signature, new Uint8Array([1, 2, 3])).subarray(4);
  for (const cut of [whole.subarray(0, -1), whole.subarray(0, 1 + PROOF_BYTES)]) {
    assert.throws(() => decodeHandshakeMessage(cut), failsWith("handshake_failed", "cannot be"));
  }
  for (const lengthBytes of [0, KEY_CERTIFICATE_BYTES_MAX + 1]) {
    const bytes = encodeProof(signature, new Uint8Array(lengthBytes)).subarray(4);
    assert.throws(
      () => decodeHandshakeMessage(bytes),
      failsWith("handshake_failed", `a certificate of ${lengthBytes} bytes`),
    );
  }
});

Deno.test("a refusal is cut to its limit and carries no control characters", () => {
  const refusal = { code: "peer_not_trusted", message: "é".repeat(5_000), hint: "a\u001b[2Jb\n" };
  const bytes = encodeRefusal(refusal);
  assert.ok(bytes.length - 4 <= HANDSHAKE_MESSAGE_BYTES_MAX);
  const decoded = decodeHandshakeMessage(bytes.subarray(4));
  assert.ok(decoded.kind === "refusal");
  assert.deepEqual(decoded.refusal, {
    code: "peer_not_trusted",
    message: "é".repeat(500),
    hint: "a [2Jb ",
  });
});

Deno.test("a hello of another version is refused by its version, whatever follows it", () => {
  for (const version of [0, PROTOCOL_VERSION + 1, 65_535]) {
    const bytes = encodeHello({ ...example, version }).slice(4, 4 + 1 + 4 + 2 + 3);
    assert.throws(
      () => decodeHandshakeMessage(bytes),
      failsWith("protocol_mismatch", `version ${version},`),
    );
  }
});

Deno.test("decodeHandshakeMessage() refuses every truncation and everything that follows", () => {
  const messages = [
    encodeHello(example),
    encodeProof(new Uint8Array(PROOF_BYTES)),
    encodeRefusal({ code: "c", message: "m", hint: "h" }),
  ];
  for (const message of messages) {
    for (let end = 4; end < message.length; end++) {
      const cut = message.subarray(4, end);
      assert.throws(() => decodeHandshakeMessage(cut), failsWith("handshake_failed", ""));
    }
    const longer = new Uint8Array([...message.subarray(4), 0]);
    assert.throws(() => decodeHandshakeMessage(longer), failsWith("handshake_failed", ""));
  }
});

Deno.test("decodeHandshakeMessage() answers garbage with an error of its own, never another", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    try {
      decodeHandshakeMessage(bytes);
    } catch (error) {
      assert.ok(error instanceof GatewayError, String(error));
    }
  }));
});

Deno.test("a hello with impossible lanes is refused", () => {
  const wrong = [[0, 0], [0, 1], [5, 5], [0, LANES_MAX + 1]];
  for (const [laneIndex, laneCount] of wrong) {
    const bytes = encodeHello({ ...example, laneIndex, laneCount }).subarray(4);
    assert.throws(() => decodeHandshakeMessage(bytes), failsWith("handshake_failed", "lane"));
  }
});

Deno.test("the transcript changes with everything that it vouches for", () => {
  const parts = {
    signer: "dialler" as const,
    version: PROTOCOL_VERSION,
    diallerDigest: new Uint8Array(DIGEST_BYTES).fill(7),
    acceptorDigest: new Uint8Array(DIGEST_BYTES).fill(8),
    diallerHello: encodeHello(example),
    acceptorHello: encodeHello({ ...example, nonce: new Uint8Array(NONCE_BYTES).fill(9) }),
  };
  const other = new Uint8Array(DIGEST_BYTES).fill(99);
  const hello = (change: Partial<Hello>) => encodeHello({ ...example, ...change });
  const variants = [
    parts,
    { ...parts, signer: "acceptor" as const },
    { ...parts, version: 2 },
    { ...parts, diallerDigest: other },
    { ...parts, acceptorDigest: other },
    { ...parts, diallerHello: parts.acceptorHello, acceptorHello: parts.diallerHello },
    { ...parts, diallerHello: hello({ nonce: other }) },
    { ...parts, diallerHello: hello({ bundleId: other.slice(0, BUNDLE_ID_BYTES) }) },
    { ...parts, diallerHello: hello({ laneIndex: 2 }) },
    { ...parts, diallerHello: hello({ incarnation: "j" }) },
    { ...parts, acceptorHello: hello({ nonce: other }) },
  ];
  const texts = variants.map((variant) => transcript(variant).toHex());
  assert.equal(new Set(texts).size, variants.length);
});
