/**
 * Messages that two gateways exchange on every connection before anything else, and the bytes that
 * both sign. Implemented; part of protocol version 1.
 *
 *     dialler                                   acceptor
 *       | HELLO ------------------------------->  | knows the certificate? version?
 *       | <------------------------ HELLO, PROOF  | or REFUSAL
 *       | PROOF ------------------------------->  | or REFUSAL
 *       | records, both ways                      |
 *
 * TLS below has shown the dialler that the acceptor holds a key of the pinned site. The proofs show
 * each side that the other holds one, its own or a link key that it has certified, bound to both hellos (fresh nonces, connection, version) and to
 * the certificates that each was configured with, so a recorded or relayed exchange is worthless.
 *
 * Every message is `{ u32 length, u8 type, body }`, the length counting type and body. Integers are
 * big-endian, texts are `{ u16 length, UTF-8 }`.
 */
import { GatewayError } from "../core/errors.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";

/** Both sides must speak the same; there is one so far. */
export const PROTOCOL_VERSION = 1;
/** First bytes of every HELLO: "CWAY". They and the version never move. */
export const HANDSHAKE_MAGIC = 0x43574159;

export const NONCE_BYTES = 32;
export const DIGEST_BYTES = 32;
export const BUNDLE_ID_BYTES = 16;
export const PROOF_BYTES = 64;
/** Lanes of one bundle; index 0 is the urgent one. */
export const LANES_MAX = 32;
/** Longest name of a site or process, in UTF-8. */
export const NAME_BYTES_MAX = 128;
/** Longest text of a refusal, in UTF-8. */
export const REFUSAL_TEXT_BYTES_MAX = 1000;
/** Longest certificate that a proof brings along, DER. */
export const KEY_CERTIFICATE_BYTES_MAX = 3072;
/** Longest handshake message: type and body. */
export const HANDSHAKE_MESSAGE_BYTES_MAX = 4096;

/** Who one side is and which connection this is. */
export interface Hello {
  readonly version: number;
  /** Random, from a cryptographic generator, never used twice. */
  readonly nonce: Uint8Array;
  /** SHA-256 of the sender's site certificate. */
  readonly certificateDigest: Uint8Array;
  /** Names the connections that belong together; made up by the dialler, repeated by the acceptor. */
  readonly bundleId: Uint8Array;
  readonly laneIndex: number;
  readonly laneCount: number;
  /** Name that the sender's site gave itself. */
  readonly site: string;
  /** Names the sender's process: another one has forgotten every session. */
  readonly incarnation: string;
}

/** Why the other side goes no further. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** One message of the handshake, decoded. */
export type HandshakeMessage =
  | { readonly kind: "hello"; readonly hello: Hello; readonly bytes: Uint8Array }
  /** `certificate` is of the key that signed, issued by the site; null: the site's own key did. */
  | {
    readonly kind: "proof";
    readonly signature: Uint8Array;
    readonly certificate: Uint8Array | null;
  }
  | { readonly kind: "refusal"; readonly refusal: Refusal };

const TYPES = { hello: 1, proof: 2, refusal: 3, certifiedProof: 4 } as const;
const TRANSCRIPT_LABEL = new TextEncoder().encode("causeway handshake\0");

/** Encodes HELLO. @returns the whole message; the transcript takes it as it is */
export function encodeHello(hello: Hello): Uint8Array<ArrayBuffer> {
  const site = text(hello.site, NAME_BYTES_MAX);
  const incarnation = text(hello.incarnation, NAME_BYTES_MAX);
  const writer = new ByteWriter(
    4 + 2 + NONCE_BYTES + DIGEST_BYTES + BUNDLE_ID_BYTES + 2 + 4 + site.length +
      incarnation.length,
  );
  writer.u32(HANDSHAKE_MAGIC).u16(hello.version);
  writer.raw(exactly(hello.nonce, NONCE_BYTES)).raw(exactly(hello.certificateDigest, DIGEST_BYTES));
  writer.raw(exactly(hello.bundleId, BUNDLE_ID_BYTES)).u8(hello.laneIndex).u8(hello.laneCount);
  writer.u16(site.length).raw(site).u16(incarnation.length).raw(incarnation);
  return envelope(TYPES.hello, writer.bytes);
}

/**
 * Encodes PROOF, of a signature over the transcript: `{ signature }`, or with a certificate
 * `{ signature, u16 length, DER }` under a type of its own, which older versions do not know.
 *
 * @param certificate of the key that signed, where that is not the site's own
 */
export function encodeProof(
  signature: Uint8Array,
  certificate: Uint8Array | null = null,
): Uint8Array<ArrayBuffer> {
  if (certificate === null) return envelope(TYPES.proof, exactly(signature, PROOF_BYTES));
  const writer = new ByteWriter(PROOF_BYTES + 2 + certificate.length);
  writer.raw(exactly(signature, PROOF_BYTES)).u16(certificate.length).raw(certificate);
  return envelope(TYPES.certifiedProof, writer.bytes);
}

/** Texts are cut to `REFUSAL_TEXT_BYTES_MAX`. */
export function encodeRefusal(refusal: Refusal): Uint8Array<ArrayBuffer> {
  const parts = [refusal.code, refusal.message, refusal.hint]
    .map((part) => text(part, REFUSAL_TEXT_BYTES_MAX));
  const writer = new ByteWriter(parts.reduce((sum, part) => sum + 2 + part.length, 0));
  for (const part of parts) writer.u16(part.length).raw(part);
  return envelope(TYPES.refusal, writer.bytes);
}

/**
 * Decodes one message without its length.
 *
 * A HELLO of another version is decoded as far as the version only, and refused by it.
 *
 * @param bytes type and body; copied from, not kept
 * @throws {GatewayError} `handshake_failed`, `protocol_mismatch`
 */
export function decodeHandshakeMessage(bytes: Uint8Array): HandshakeMessage {
  try {
    const reader = new ByteReader(bytes);
    const type = reader.u8();
    if (type === TYPES.hello) {
      return { kind: "hello", hello: decodeHello(reader), bytes: envelope(type, bytes.slice(1)) };
    }
    if (type === TYPES.proof || type === TYPES.certifiedProof) {
      const signature = reader.raw(PROOF_BYTES).slice();
      const certificate = type === TYPES.proof ? null : readCertificate(reader);
      reader.end();
      return { kind: "proof", signature, certificate };
    }
    if (type === TYPES.refusal) {
      const [code, message, hint] = [0, 1, 2].map(() => readText(reader, REFUSAL_TEXT_BYTES_MAX));
      reader.end();
      return { kind: "refusal", refusal: { code, message, hint } };
    }
    throw new TypeError(`type ${type} is unknown`);
  } catch (cause) {
    if (cause instanceof GatewayError && cause.code === "protocol_mismatch") throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw handshakeFailed(`a message cannot be read: ${reason}`, cause);
  }
}

/**
 * The bytes that one side signs with its site key.
 *
 * `{ label, u8 signer (1 dialler, 2 acceptor), u16 version, SHA-256 of the dialler's and of the
 * acceptor's site certificate as the signer and verifier were configured, both HELLO messages }`;
 * the hellos carry nonces, connection id (bundle and lane) and incarnations, and their own lengths.
 */
export function transcript(parts: {
  readonly signer: "dialler" | "acceptor";
  readonly version: number;
  readonly diallerDigest: Uint8Array;
  readonly acceptorDigest: Uint8Array;
  readonly diallerHello: Uint8Array;
  readonly acceptorHello: Uint8Array;
}): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(
    TRANSCRIPT_LABEL.length + 3 + 2 * DIGEST_BYTES + parts.diallerHello.length +
      parts.acceptorHello.length,
  );
  writer.raw(TRANSCRIPT_LABEL).u8(parts.signer === "dialler" ? 1 : 2).u16(parts.version);
  writer.raw(exactly(parts.diallerDigest, DIGEST_BYTES));
  writer.raw(exactly(parts.acceptorDigest, DIGEST_BYTES));
  writer.raw(parts.diallerHello).raw(parts.acceptorHello);
  return writer.bytes as Uint8Array<ArrayBuffer>;
}

/** An exchange that was broken off; `reason` completes "Cannot prove identities: ". */
export function handshakeFailed(reason: string, cause?: unknown): GatewayError {
  return new GatewayError("handshake_failed", `Cannot prove identities: ${reason}`, {
    hint: "Check that both ends are gateways of the same version and trust each other's site.crt",
    cause,
  });
}

function decodeHello(reader: ByteReader): Hello {
  if (reader.u32() !== HANDSHAKE_MAGIC) throw new TypeError("the other end is no gateway");
  const version = reader.u16();
  if (version !== PROTOCOL_VERSION) {
    throw new GatewayError(
      "protocol_mismatch",
      `Cannot talk to the peer: it speaks protocol version ${version}, this gateway ` +
        `version ${PROTOCOL_VERSION}`,
      { hint: "Run the same release at both sites" },
    );
  }
  const hello: Hello = {
    version,
    nonce: reader.raw(NONCE_BYTES).slice(),
    certificateDigest: reader.raw(DIGEST_BYTES).slice(),
    bundleId: reader.raw(BUNDLE_ID_BYTES).slice(),
    laneIndex: reader.u8(),
    laneCount: reader.u8(),
    site: readText(reader, NAME_BYTES_MAX),
    incarnation: readText(reader, NAME_BYTES_MAX),
  };
  reader.end();
  if (hello.laneCount < 2 || hello.laneCount > LANES_MAX || hello.laneIndex >= hello.laneCount) {
    throw new TypeError(
      `lane ${hello.laneIndex} of ${hello.laneCount}, allowed: 2 to ${LANES_MAX}`,
    );
  }
  return hello;
}

function readCertificate(reader: ByteReader): Uint8Array {
  const lengthBytes = reader.u16();
  if (lengthBytes < 1 || lengthBytes > KEY_CERTIFICATE_BYTES_MAX) {
    throw new TypeError(`a certificate of ${lengthBytes} bytes`);
  }
  return reader.raw(lengthBytes).slice();
}

function envelope(type: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  return new ByteWriter(5 + body.length).u32(1 + body.length).u8(type).raw(body)
    .bytes as Uint8Array<ArrayBuffer>;
}

/** UTF-8 of a text, cut at a character. */
function text(value: string, bytesMax: number): Uint8Array {
  const bytes = new Uint8Array(bytesMax);
  return bytes.subarray(0, new TextEncoder().encodeInto(value, bytes).written);
}

function readText(reader: ByteReader, bytesMax: number): string {
  const lengthBytes = reader.u16();
  if (lengthBytes > bytesMax) throw new TypeError(`a text of ${lengthBytes} bytes`);
  const value = new TextDecoder("utf-8", { fatal: true }).decode(reader.raw(lengthBytes));
  // Peer text ends up in logs and terminals.
  // deno-lint-ignore no-control-regex -- exactly the control characters
  return value.replace(/[\u0000-\u001f\u007f-\u009f]/g, " ");
}

function exactly(bytes: Uint8Array, lengthBytes: number): Uint8Array {
  if (bytes.length !== lengthBytes) {
    throw new RangeError(`expected ${lengthBytes} bytes, got ${bytes.length}`);
  }
  return bytes;
}
