import assert from "node:assert/strict";
import {
  BUNDLE_ID_BYTES,
  decodeHandshakeMessage,
  DIGEST_BYTES,
  encodeHello,
  encodeProof,
  encodeRefusal,
  HANDSHAKE_MESSAGE_BYTES_MAX,
  NONCE_BYTES,
  PROOF_BYTES,
  PROTOCOL_VERSION,
} from "../../../wire/handshake.ts";
import { acceptHandshake, dialHandshake, type OwnSide } from "../../../link/handshake_run.ts";
import type { ByteStream } from "../../../link/quic_stream.ts";
import { createAuthority, SIGNATURE_ALGORITHM } from "../../../identity/certificate.ts";
import { parseSiteCertificate } from "../../../identity/site_certificate.ts";
import type { TrustedPeer } from "../../../config/peers.ts";
import { fingerprintDigest } from "../../../identity/fingerprint.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import { KNOWN_SITE } from "../known_site.ts";
import { chunksOf } from "../parts.ts";
import type { FuzzTarget } from "../target.ts";

const CODES = ["handshake_failed", "protocol_mismatch"] as const;
/** The message itself, and the fields that are copied out of it. */
const BUFFERS_MAX = 16 * HANDSHAKE_MESSAGE_BYTES_MAX;

function hello(dice: Dice, certificateDigest: Uint8Array): Uint8Array {
  const laneCount = dice.between(2, 5);
  return encodeHello({
    version: dice.chance(0.9) ? PROTOCOL_VERSION : dice.below(65_536),
    nonce: dice.bytes(NONCE_BYTES),
    certificateDigest,
    bundleId: new Uint8Array(BUNDLE_ID_BYTES),
    laneIndex: dice.chance(0.7) ? 0 : dice.below(laneCount),
    laneCount,
    site: dice.pick(["west", "é".repeat(60), "\u001b[2J", ""]),
    incarnation: "one",
  });
}

function anyMessage(dice: Dice, digest = dice.bytes(DIGEST_BYTES)): Uint8Array {
  const kind = dice.below(4);
  if (kind === 0) return encodeProof(dice.bytes(PROOF_BYTES));
  if (kind > 1) return hello(dice, digest);
  const code = dice.pick(["peer_not_trusted", "handshake_failed", "x", "toString"]);
  return encodeRefusal({ code, message: "m".repeat(dice.size(1_200)), hint: "h\n" });
}

/** One message of the handshake, before anybody has proved who it is. */
export function wireHandshake(): FuzzTarget {
  return {
    name: "wire-handshake",
    reads: "one message of the handshake, from anybody (src/wire/handshake.ts)",
    codes: CODES,
    form: "bytes",
    bufferBytesMax: BUFFERS_MAX,
    testExecutions: 12_000,
    generate: (dice) => anyMessage(dice).subarray(4),
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    run(input) {
      const message = decodeHandshakeMessage(input);
      if (message.kind !== "hello") return message.kind;
      const { site, incarnation } = message.hello;
      // deno-lint-ignore no-control-regex -- exactly the control characters
      assert.doesNotMatch(site + incarnation, /[\u0000-\u001f\u007f-\u009f]/);
      return `hello of ${message.hello.laneCount} lanes`;
    },
  };
}

/** Both sides of the exchange against what any caller, or whoever answers, writes into the stream. */
export async function handshakeExchange(): Promise<FuzzTarget> {
  const [own, ownPeer] = await site("west");
  const certificate = await parseSiteCertificate(KNOWN_SITE.certificatePem, "east");
  const peer: TrustedPeer = { name: "east", address: null, certificate };
  const digest = fingerprintDigest(peer.certificate.fingerprint);
  const lane = { bundleId: new Uint8Array(BUNDLE_ID_BYTES), laneIndex: 0, laneCount: 2 };
  return {
    name: "handshake-exchange",
    reads: "the stream of a connection before it is trusted, at either side (src/link)",
    codes: [...CODES, "peer_not_trusted"],
    form: "bytes",
    bufferBytesMax: 4 * BUFFERS_MAX,
    testExecutions: 1_200,
    generate(dice) {
      const messages = Array.from({ length: dice.between(1, 3) }, () => anyMessage(dice, digest));
      return Uint8Array.of(dice.below(256), ...messages.flatMap((message) => [...message]));
    },
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    async run(input) {
      const chunks = chunksOf(input.subarray(1), input[0] >> 1);
      const stream = streamOf(chunks);
      const proven = (input[0] ?? 0) % 2 === 0
        ? await acceptHandshake(stream, own, () => Promise.resolve([ownPeer, peer]))
        : await dialHandshake(stream, own, peer, lane);
      return assert.fail(`nobody can have proved to be ${proven.peer.name}`);
    },
  };
}

async function site(name: string): Promise<[OwnSide, TrustedPeer]> {
  const authority = await createAuthority(name, 0);
  const certificate = await parseSiteCertificate(authority.certificatePem, name);
  const keys = await crypto.subtle.generateKey(SIGNATURE_ALGORITHM, false, ["sign", "verify"]);
  const { privateKey } = keys as CryptoKeyPair;
  const identity = {
    certificate,
    keyCertificate: null,
    generation: 0,
    sign: async (bytes: Uint8Array<ArrayBuffer>) =>
      new Uint8Array(await crypto.subtle.sign(SIGNATURE_ALGORITHM, privateKey, bytes)),
    issueLeaf: () => Promise.reject(new Error("nobody listens here")),
  };
  const own = { identity, site: name, incarnation: "1", version: PROTOCOL_VERSION };
  return [own, { name, address: null, certificate }];
}

function streamOf(chunks: Iterator<Uint8Array>): ByteStream {
  let given: Uint8Array | null = null;
  return {
    read() {
      const bytes = given ?? (chunks.next().value as Uint8Array | undefined) ?? null;
      given = null;
      return Promise.resolve(bytes);
    },
    unread(bytes) {
      if (bytes.length > 0) given = bytes;
    },
    write: () => Promise.resolve(),
  };
}
