import assert from "node:assert/strict";
import { join } from "node:path";
import type { TrustedPeer } from "../config/peers.ts";
import { GatewayError } from "../core/errors.ts";
import { createAuthority } from "../identity/certificate.ts";
import { keysInMemory, type KnownKeys } from "../identity/known_keys.ts";
import { makeLinkKey } from "../identity/link_key.ts";
import { loadIdentity, readAuthorityKey, type SiteIdentity } from "../identity/site_identity.ts";
import {
  BUNDLE_ID_BYTES,
  encodeRefusal,
  HANDSHAKE_MESSAGE_BYTES_MAX,
  PROTOCOL_VERSION,
} from "../wire/handshake.ts";
import { acceptHandshake, dialHandshake, type OwnSide } from "./handshake_run.ts";
import type { ByteStream } from "./quic_stream.ts";

const lane = { bundleId: new Uint8Array(BUNDLE_ID_BYTES).fill(5), laneIndex: 0, laneCount: 5 };

/** One identity for each of these generations of its link key; 0 is the authority's own key. */
async function site(name: string): Promise<SiteIdentity>;
async function site(name: string, ...generations: number[]): Promise<SiteIdentity[]>;
async function site(name: string, ...generations: number[]) {
  const dir = await Deno.makeTempDir();
  try {
    const authority = await createAuthority(name, Date.UTC(2026, 0, 1));
    const certificateFile = join(dir, "site.crt");
    const keyFile = join(dir, "site.key");
    await Deno.writeTextFile(certificateFile, authority.certificatePem);
    await Deno.writeTextFile(keyFile, authority.keyPem, { mode: 0o600 });
    const first = await loadIdentity({ certificateFile, keyFile });
    if (generations.length === 0) return first;
    const identities: SiteIdentity[] = [];
    const linkKeyFile = join(dir, "link-key.pem");
    const key = await readAuthorityKey(keyFile);
    for (const generation of generations) {
      const text = await makeLinkKey(first.certificate, key, generation);
      await Deno.writeTextFile(linkKeyFile, text, { mode: 0o600 });
      identities.push(await loadIdentity({ certificateFile, keyFile, linkKeyFile }));
    }
    return [first, ...identities];
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const [a, b, c] = await Promise.all([site("a"), site("b"), site("c")]);

function own(
  identity: SiteIdentity,
  version = PROTOCOL_VERSION,
  keys?: KnownKeys,
): OwnSide {
  return { identity, keys, site: identity.certificate.site, incarnation: "process", version };
}

function peer(identity: SiteIdentity): TrustedPeer {
  const { certificate } = identity;
  return { name: certificate.site, address: null, certificate };
}

/** One direction: what was written, and who waits for more. */
class Pipe {
  readonly written: Uint8Array[] = [];
  readonly #unread: Uint8Array[] = [];
  #isEnded = false;
  #changed = Promise.withResolvers<void>();

  /** Reads one byte after the other: the hardest chunking there is. */
  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const first = this.#unread.shift();
      if (first) {
        if (first.length > 1) this.#unread.unshift(first.subarray(1));
        return first.subarray(0, 1);
      }
      if (this.#isEnded) return null;
      await this.#changed.promise;
    }
  }

  unread(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#unread.unshift(bytes);
  }

  write(bytes: Uint8Array): Promise<void> {
    this.written.push(bytes.slice());
    this.#unread.push(bytes.slice());
    this.#notify();
    return Promise.resolve();
  }

  end(): void {
    this.#isEnded = true;
    this.#notify();
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

function streamPair() {
  const [toAcceptor, toDialler] = [new Pipe(), new Pipe()];
  const end = (from: Pipe, to: Pipe): ByteStream => ({
    read: () => from.read(),
    unread: (bytes) => from.unread(bytes),
    write: (bytes) => to.write(bytes),
  });
  return {
    dialler: end(toDialler, toAcceptor),
    acceptor: end(toAcceptor, toDialler),
    toAcceptor,
    toDialler,
  };
}

async function outcomes(dialled: Promise<unknown>, accepted: Promise<unknown>) {
  const [dial, accept] = await Promise.allSettled([dialled, accepted]);
  return {
    dial: dial.status === "rejected" ? dial.reason as GatewayError : null,
    accept: accept.status === "rejected" ? accept.reason as GatewayError : null,
  };
}

Deno.test("two sites that trust each other prove it, byte by byte", async () => {
  const { dialler, acceptor } = streamPair();
  const [near, far] = await Promise.all([
    dialHandshake(dialler, own(a), peer(b), lane),
    acceptHandshake(acceptor, own(b), () => Promise.resolve([peer(c), peer(a)])),
  ]);
  assert.deepEqual([near.peer.name, far.peer.name], ["b", "a"]);
  assert.deepEqual(far.hello.bundleId, lane.bundleId);
  assert.equal(near.hello.incarnation, "process");
});

Deno.test("bytes that follow the last proof are left for the records", async () => {
  const { dialler, acceptor } = streamPair();
  await Promise.all([
    dialHandshake(dialler, own(a), peer(b), lane).then(() => dialler.write(new Uint8Array([7]))),
    acceptHandshake(acceptor, own(b), () => Promise.resolve([peer(a)])),
  ]);
  assert.deepEqual(await acceptor.read(), new Uint8Array([7]));
});

Deno.test("a site that is not trusted is refused, and told by which command to change that", async () => {
  const { dialler, acceptor } = streamPair();
  const { dial, accept } = await outcomes(
    dialHandshake(dialler, own(c), peer(b), lane),
    acceptHandshake(acceptor, own(b), () => Promise.resolve([peer(a)])),
  );
  assert.equal(accept!.code, "peer_not_trusted");
  assert.equal(dial!.code, "peer_not_trusted");
  assert.match(dial!.message, /Cannot connect to b: it refused: .*b does not trust it/);
  assert.match(dial!.hint, /causeway trust/);
});

Deno.test("an answer by another site than the one dialled is refused on both sides", async () => {
  const { dialler, acceptor } = streamPair();
  const { dial, accept } = await outcomes(
    dialHandshake(dialler, own(a), peer(b), lane),
    acceptHandshake(acceptor, own(c), () => Promise.resolve([peer(a)])),
  );
  assert.equal(dial!.code, "peer_not_trusted");
  assert.match(dial!.message, /another site \(c\)/);
  assert.equal(accept!.code, "peer_not_trusted");
});

Deno.test("who shows a trusted certificate without its key is refused, on either side", async () => {
  // b's certificate, c's key.
  const impostor: SiteIdentity = { ...c, certificate: b.certificate };
  const dialling = streamPair();
  const first = await outcomes(
    dialHandshake(dialling.dialler, own(impostor), peer(a), lane),
    acceptHandshake(dialling.acceptor, own(a), () => Promise.resolve([peer(b)])),
  );
  assert.equal(first.accept!.code, "handshake_failed");
  assert.match(first.accept!.message, /signature of b does not fit/);
  const accepting = streamPair();
  const second = await outcomes(
    dialHandshake(accepting.dialler, own(a), peer(b), lane),
    acceptHandshake(accepting.acceptor, own(impostor), () => Promise.resolve([peer(a)])),
  );
  assert.equal(second.dial!.code, "handshake_failed");
  assert.equal(second.accept!.code, "handshake_failed");
  assert.match(second.accept!.message, /it refused/);
});

Deno.test("a recorded handshake is worthless the second time", async () => {
  const { dialler, acceptor, toAcceptor } = streamPair();
  await Promise.all([
    dialHandshake(dialler, own(a), peer(b), lane),
    acceptHandshake(acceptor, own(b), () => Promise.resolve([peer(a)])),
  ]);
  const replay = streamPair();
  for (const message of toAcceptor.written) await replay.dialler.write(message);
  await assert.rejects(
    acceptHandshake(replay.acceptor, own(b), () => Promise.resolve([peer(a)])),
    (error: GatewayError) => error.code === "handshake_failed" && /signature/.test(error.message),
  );
});

Deno.test("a handshake relayed by a site that both trust is refused", async () => {
  // a dials c; c passes a's messages on to b as if a had dialled b.
  const toC = streamPair();
  const toB = streamPair();
  const dialled = dialHandshake(toC.dialler, own(a), peer(c), lane);
  const accepted = acceptHandshake(toB.acceptor, own(b), () => Promise.resolve([peer(a)]));
  const relay = async (from: ByteStream, to: ByteStream) => {
    for (let bytes; (bytes = await from.read()) !== null;) await to.write(bytes);
  };
  const relays = [relay(toC.acceptor, toB.dialler), relay(toB.dialler, toC.acceptor)];
  const { dial, accept } = await outcomes(dialled, accepted);
  assert.equal(dial!.code, "peer_not_trusted");
  assert.equal(accept!.code, "peer_not_trusted");
  for (const pipe of [toC.toAcceptor, toB.toDialler]) pipe.end();
  await Promise.all(relays);
});

Deno.test("versions that differ are named on both sides, whoever dials", async () => {
  for (const [diallerVersion, acceptorVersion] of [[1, 2], [2, 1]]) {
    const { dialler, acceptor } = streamPair();
    const { dial, accept } = await outcomes(
      dialHandshake(dialler, own(a, diallerVersion), peer(b), lane),
      acceptHandshake(acceptor, own(b, acceptorVersion), () => Promise.resolve([peer(a)])),
    );
    assert.equal(dial!.code, "protocol_mismatch");
    assert.equal(accept!.code, "protocol_mismatch");
    for (const { message } of [dial!, accept!]) assert.match(message, /version 2.*version 1/);
  }
});

Deno.test("garbage, endless and broken-off messages end the handshake with a reason", async () => {
  const length = (bytes: number) => {
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, bytes);
    return head;
  };
  const cases: [Uint8Array, RegExp][] = [
    [length(HANDSHAKE_MESSAGE_BYTES_MAX + 1), /4097 bytes, allowed: 1 to 4096/],
    [length(0xffffffff), /4294967295 bytes/],
    [length(0), /0 bytes/],
    [new Uint8Array([0, 0, 0, 2, 99, 0]), /type 99 is unknown/],
    [new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"), /bytes, allowed/],
    [new Uint8Array([0, 0, 0]), /closed the connection/],
    [new Uint8Array([0, 0, 0, 9, 1, 2]), /closed the connection/],
  ];
  for (const [bytes, message] of cases) {
    const { acceptor, dialler, toAcceptor } = streamPair();
    await dialler.write(bytes);
    toAcceptor.end();
    await assert.rejects(
      acceptHandshake(acceptor, own(b), () => Promise.resolve([peer(a)])),
      (error: GatewayError) => error.code === "handshake_failed" && message.test(error.message),
    );
  }
});

Deno.test("a refusal cannot make up codes", async () => {
  const { acceptor, dialler } = streamPair();
  await dialler.write(encodeRefusal({ code: "ledger_unusable", message: "m", hint: "h" }));
  await assert.rejects(
    acceptHandshake(acceptor, own(b), () => Promise.resolve([peer(a)])),
    (error: GatewayError) => error.code === "handshake_failed" && error.hint === "h",
  );
});

Deno.test("a configuration that cannot be read trusts nobody and tells the caller nothing", async () => {
  const { dialler, acceptor } = streamPair();
  const { dial, accept } = await outcomes(
    dialHandshake(dialler, own(a), peer(b), lane),
    acceptHandshake(acceptor, own(b), () => Promise.reject(new Error("/secret/path"))),
  );
  assert.equal(accept!.code, "handshake_failed");
  assert.match(String((accept!.cause as Error).message), /secret/);
  assert.equal(dial!.code, "handshake_failed");
  assert.doesNotMatch(dial!.message, /secret/);
});

Deno.test("a link key proves its site, and makes the ones before it worthless, whoever dials", async () => {
  const [authority, first, second] = await site("d", 1, 2);
  for (const dials of [true, false]) {
    const keys = keysInMemory();
    const meet = async (identity: SiteIdentity) => {
      const { dialler, acceptor } = streamPair();
      const knowing = own(a, PROTOCOL_VERSION, keys);
      return await outcomes(
        dialHandshake(dialler, dials ? own(identity) : knowing, peer(dials ? a : identity), lane),
        acceptHandshake(
          acceptor,
          dials ? knowing : own(identity),
          () => Promise.resolve([peer(dials ? authority : a)]),
        ),
      );
    };
    const fine = { dial: null, accept: null };
    assert.deepEqual(await meet(authority), fine);
    assert.deepEqual(await meet(second), fine);
    assert.equal(keys.keyGeneration(authority.certificate.fingerprint), 2);
    for (const old of [first, authority]) {
      const { dial, accept } = await meet(old);
      // The dialler has said its last word by then: what it is told comes as its first record.
      const refusal = (dials ? accept : dial)!;
      assert.equal(refusal.code, "peer_not_trusted");
      assert.match(refusal.message, /generation \d, and generation 2 has replaced it/);
    }
    assert.deepEqual(await meet(second), fine, "the present one stays good");
    assert.equal(keys.keyGeneration(a.certificate.fingerprint), 0);
  }
});

Deno.test("a link key that another site has certified proves nothing", async () => {
  const [, ofC] = await site("e", 5);
  // b's certificate with a key that e has certified: e is a site like any other.
  const impostor: SiteIdentity = { ...ofC, certificate: b.certificate };
  const keys = keysInMemory();
  const { dialler, acceptor } = streamPair();
  const { accept } = await outcomes(
    dialHandshake(dialler, own(impostor), peer(a), lane),
    acceptHandshake(acceptor, own(a, PROTOCOL_VERSION, keys), () => Promise.resolve([peer(b)])),
  );
  assert.equal(accept?.code, "handshake_failed");
  assert.match(accept!.message, /the key of b is not certified by its site/);
  assert.equal(keys.keyGeneration(b.certificate.fingerprint), 0, "nor makes anything worthless");
});

Deno.test("a signature by another key than the certified one does not count, nor its generation", async () => {
  const [authority, first] = await site("f", 1);
  const impostor: SiteIdentity = { ...first, sign: c.sign };
  const keys = keysInMemory();
  const { dialler, acceptor } = streamPair();
  const { accept } = await outcomes(
    dialHandshake(dialler, own(impostor), peer(a), lane),
    acceptHandshake(
      acceptor,
      own(a, PROTOCOL_VERSION, keys),
      () => Promise.resolve([peer(authority)]),
    ),
  );
  assert.match(accept!.message, /signature of f does not fit/);
  assert.equal(keys.keyGeneration(authority.certificate.fingerprint), 0);
});
