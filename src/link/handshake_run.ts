import type { TrustedPeer } from "../config/peers.ts";
import { GatewayError } from "../core/errors.ts";
import { fingerprintDigest } from "../identity/fingerprint.ts";
import type { KnownKeys } from "../identity/known_keys.ts";
import { readKeyCertificate } from "../identity/link_key.ts";
import { type SiteKey, verifySignature } from "../identity/site_certificate.ts";
import type { SiteIdentity } from "../identity/site_identity.ts";
import {
  decodeHandshakeMessage,
  encodeHello,
  encodeProof,
  encodeRefusal,
  HANDSHAKE_MESSAGE_BYTES_MAX,
  handshakeFailed,
  type HandshakeMessage,
  type Hello,
  NONCE_BYTES,
  type Refusal,
  transcript,
} from "../wire/handshake.ts";
import { type ByteStream, readExactly } from "./quic_stream.ts";

/** What this gateway says of itself, and knows of others. */
export interface OwnSide {
  /** Read once for each handshake: it may be replaced between two of them. */
  readonly identity: SiteIdentity;
  /** Without it every generation of a peer's key is good. */
  readonly keys?: KnownKeys;
  readonly site: string;
  readonly incarnation: string;
  readonly version: number;
}

/** Which connection of which bundle. */
export interface LaneId {
  readonly bundleId: Uint8Array;
  readonly laneIndex: number;
  readonly laneCount: number;
}

/** Who the other side has proved to be. */
export interface ProvenPeer {
  readonly peer: TrustedPeer;
  readonly hello: Hello;
}

/**
 * Proves both identities from the dialling side; the stream carries records afterwards.
 *
 * @throws {GatewayError} `peer_not_trusted`, `protocol_mismatch`, `handshake_failed`; the other side
 *   has been told why, or has told
 */
export async function dialHandshake(
  stream: ByteStream,
  side: OwnSide,
  peer: TrustedPeer,
  lane: LaneId,
): Promise<ProvenPeer> {
  const own = { ...side };
  return await tellingWhy(stream, async () => {
    const diallerHello = helloOf(own, lane);
    await stream.write(diallerHello);
    const answer = await expect(stream, "hello", peer.name);
    const hello = answer.hello;
    if (!same(hello.certificateDigest, fingerprintDigest(peer.certificate.fingerprint))) {
      throw new GatewayError(
        "peer_not_trusted",
        `Cannot trust ${peer.name}: another site (${hello.site}) answers at its address`,
        { hint: "Check the address, or trust the certificate of that site" },
      );
    }
    if (!same(hello.bundleId, lane.bundleId) || hello.laneIndex !== lane.laneIndex) {
      throw handshakeFailed("the answer belongs to another connection");
    }
    const digests = {
      version: own.version,
      diallerDigest: fingerprintDigest(own.identity.certificate.fingerprint),
      acceptorDigest: fingerprintDigest(peer.certificate.fingerprint),
      diallerHello,
      acceptorHello: answer.bytes,
    };
    await verifyProof(stream, own, peer, transcript({ signer: "acceptor", ...digests }));
    await stream.write(await proofOf(own, transcript({ signer: "dialler", ...digests })));
    return { peer, hello };
  });
}

/**
 * Proves both identities from the accepting side.
 *
 * @param loadPeers the trusted peers at this moment
 * @throws {GatewayError} as `dialHandshake`
 */
export async function acceptHandshake(
  stream: ByteStream,
  side: OwnSide,
  loadPeers: () => Promise<TrustedPeer[]>,
): Promise<ProvenPeer> {
  const own = { ...side };
  return await tellingWhy(stream, async () => {
    const asked = await expect(stream, "hello", "the caller");
    const hello = asked.hello;
    const fingerprint = `sha256:${hello.certificateDigest.toHex()}`;
    const peer = (await trustedPeers(loadPeers))
      .find((candidate) => candidate.certificate.fingerprint === fingerprint);
    if (!peer) {
      throw new GatewayError(
        "peer_not_trusted",
        `Cannot accept site ${hello.site} (${fingerprint}): ${own.site} does not trust it`,
        { hint: `Run \`causeway trust\` at ${own.site} with the site.crt of ${hello.site}` },
      );
    }
    const acceptorHello = helloOf(own, hello);
    const digests = {
      version: own.version,
      diallerDigest: fingerprintDigest(peer.certificate.fingerprint),
      acceptorDigest: fingerprintDigest(own.identity.certificate.fingerprint),
      diallerHello: asked.bytes,
      acceptorHello,
    };
    await stream.write(acceptorHello);
    await stream.write(await proofOf(own, transcript({ signer: "acceptor", ...digests })));
    await verifyProof(stream, own, peer, transcript({ signer: "dialler", ...digests }));
    return { peer, hello };
  });
}

function helloOf(own: OwnSide, lane: LaneId): Uint8Array<ArrayBuffer> {
  return encodeHello({
    version: own.version,
    nonce: crypto.getRandomValues(new Uint8Array(NONCE_BYTES)),
    certificateDigest: fingerprintDigest(own.identity.certificate.fingerprint),
    bundleId: lane.bundleId,
    laneIndex: lane.laneIndex,
    laneCount: lane.laneCount,
    site: own.site,
    incarnation: own.incarnation,
  });
}

async function proofOf(
  { identity }: OwnSide,
  signed: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  return encodeProof(await identity.sign(signed), identity.keyCertificate);
}

async function verifyProof(
  stream: ByteStream,
  { keys }: OwnSide,
  peer: TrustedPeer,
  signed: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const { signature, certificate } = await expect(stream, "proof", peer.name);
  const { fingerprint } = peer.certificate;
  const key = await keyOf(peer, certificate);
  const known = keys?.keyGeneration(fingerprint) ?? 0;
  if (key.generation < known) {
    throw new GatewayError(
      "peer_not_trusted",
      `Cannot trust ${peer.name}: its key is of generation ${key.generation}, and generation ` +
        `${known} has replaced it`,
      { hint: `Run \`causeway rotate-key --generation ${known + 1}\` at ${peer.name}` },
    );
  }
  const bytes = new Uint8Array(signature);
  if (!await verifySignature(key, signed, bytes)) {
    throw handshakeFailed(`the signature of ${peer.name} does not fit this connection`);
  }
  if (key.generation > known) keys?.keySeen(fingerprint, key.generation);
}

async function keyOf(peer: TrustedPeer, certificate: Uint8Array | null): Promise<SiteKey> {
  if (certificate === null) return { publicKey: peer.certificate.publicKey, generation: 0 };
  try {
    return await readKeyCertificate(certificate, peer.certificate, peer.name);
  } catch (cause) {
    throw handshakeFailed(`the key of ${peer.name} is not certified by its site`, cause);
  }
}

/** The next message, which must be of this kind; a refusal becomes the error that it tells of. */
async function expect<K extends HandshakeMessage["kind"]>(
  stream: ByteStream,
  kind: K,
  from: string,
): Promise<Extract<HandshakeMessage, { kind: K }>> {
  const head = await readExactly(stream, 4);
  if (head === null) throw handshakeFailed(`${from} closed the connection`);
  const lengthBytes = new DataView(head.buffer).getUint32(0);
  if (lengthBytes < 1 || lengthBytes > HANDSHAKE_MESSAGE_BYTES_MAX) {
    throw handshakeFailed(
      `${from} sent a message of ${lengthBytes} bytes, allowed: 1 to ${HANDSHAKE_MESSAGE_BYTES_MAX}`,
    );
  }
  const body = await readExactly(stream, lengthBytes);
  if (body === null) throw handshakeFailed(`${from} closed the connection`);
  const message = decodeHandshakeMessage(body);
  if (message.kind === "refusal") throw new RefusedByPeer(from, message.refusal);
  if (message.kind !== kind) throw handshakeFailed(`${from} sent a ${message.kind} out of order`);
  return message as Extract<HandshakeMessage, { kind: K }>;
}

/** The other side's refusal; it knows already. */
export class RefusedByPeer extends GatewayError {
  constructor(from: string, refusal: Refusal) {
    const known = ["peer_not_trusted", "protocol_mismatch", "handshake_failed"] as const;
    super(
      known.find((code) => code === refusal.code) ?? "handshake_failed",
      `Cannot connect to ${from}: it refused: ${refusal.message}`,
      { hint: refusal.hint },
    );
  }
}

async function tellingWhy<T>(stream: ByteStream, exchange: () => Promise<T>): Promise<T> {
  try {
    return await exchange();
  } catch (error) {
    if (error instanceof GatewayError && !(error instanceof RefusedByPeer)) {
      await stream.write(encodeRefusal(error)).catch(() => {});
    }
    throw error;
  }
}

/** A configuration that cannot be read trusts nobody; the reason stays on this side. */
async function trustedPeers(loadPeers: () => Promise<TrustedPeer[]>): Promise<TrustedPeer[]> {
  try {
    return await loadPeers();
  } catch (cause) {
    throw handshakeFailed("this site cannot read whom it trusts", cause);
  }
}

function same(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
