import { formatHostPort } from "../config/address.ts";
import type { TrustedPeer } from "../config/peers.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { handshakeFailed } from "../wire/handshake.ts";
import { BundleTable } from "./bundle_table.ts";
import { acceptHandshake, type OwnSide } from "./handshake_run.ts";
import { QuicCarrier } from "./quic_carrier.ts";
import { QuicLane } from "./quic_lane.ts";
import { quicStream } from "./quic_stream.ts";

/** Connections that have not proved who they are; more are refused unseen. */
export const HANDSHAKES_MAX = 64;
/** Time from the first packet to the last proof. */
export const HANDSHAKE_MS_MAX = 10_000;
/** How long a refused side is given to read why. */
const REFUSAL_LINGER_MS = 1_000;

export interface ContactRefusal {
  readonly remote: string;
  readonly code: string;
  readonly message: string;
}

export interface AcceptOptions {
  readonly listener: Deno.QuicListener;
  readonly own: OwnSide;
  readonly loadPeers: () => Promise<TrustedPeer[]>;
  readonly clock: Clock;
  readonly silenceMsMax: number;
  readonly onCarrier: (carrier: QuicCarrier) => void;
  readonly onRefusal: (refusal: ContactRefusal) => void;
}

/** Accepts connections, proves who they are and puts them together to bundles. */
export class QuicAcceptor {
  readonly #options: AcceptOptions;
  readonly #bundles: BundleTable<QuicLane, QuicCarrier>;
  #handshakes = 0;
  #isClosed = false;

  constructor(options: AcceptOptions) {
    this.#options = options;
    this.#bundles = new BundleTable(({ peer, hello }, onGone) =>
      new QuicCarrier({
        peerName: peer.name,
        peerIncarnation: hello.incarnation,
        laneCount: hello.laneCount,
        clock: options.clock,
        silenceMsMax: options.silenceMsMax,
        onGone,
      })
    );
    void this.#listen();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#bundles.close();
  }

  async #listen(): Promise<void> {
    while (!this.#isClosed) {
      let incoming: Deno.QuicIncoming;
      try {
        incoming = await this.#options.listener.incoming();
      } catch {
        return; // the endpoint was closed
      }
      if (this.#handshakes >= HANDSHAKES_MAX) {
        incoming.refuse();
        continue;
      }
      this.#handshakes++;
      void this.#accept(incoming).finally(() => this.#handshakes--);
    }
  }

  /** Never rejects. */
  async #accept(incoming: Deno.QuicIncoming): Promise<void> {
    const { clock, onRefusal } = this.#options;
    let conn: Deno.QuicConn | null = null;
    let remote = "an unknown address";
    let joined = false;
    const limit = new AbortController();
    const timeout = clock.sleep(HANDSHAKE_MS_MAX, limit.signal).then(() => {
      throw handshakeFailed(`no proof within ${HANDSHAKE_MS_MAX} ms`);
    });
    try {
      const proven = (async () => {
        // The address cannot be asked before: reading it consumes the incoming connection.
        const made = await completeTls(incoming);
        conn = made;
        remote = formatHostPort(made.remoteAddr);
        const stream = quicStream(await firstStream(made));
        const peer = await acceptHandshake(stream, this.#options.own, this.#options.loadPeers);
        return { peer, conn: made, stream };
      })();
      // One that comes too late is not ours any more.
      proven.catch(() => {}).then(() => limit.signal.aborted && !joined && conn?.close());
      const { peer, conn: made, stream } = await Promise.race([proven, timeout]);
      const ready = this.#bundles.join(peer, new QuicLane(peer.hello.laneIndex, made, stream));
      joined = true;
      if (ready !== null) this.#options.onCarrier(ready);
    } catch (thrown) {
      // What is no refusal of ours is the transport's: the caller went away, or never spoke.
      const error = thrown instanceof GatewayError
        ? thrown
        : handshakeFailed(thrown instanceof Error ? thrown.message : String(thrown), thrown);
      onRefusal({ remote, code: error.code, message: error.message });
      await this.#refuse(conn, error.code);
    } finally {
      limit.abort();
      timeout.catch(() => {});
    }
  }

  async #refuse(conn: Deno.QuicConn | null, code: string): Promise<void> {
    if (conn === null) return;
    const linger = new AbortController();
    const closed = conn.closed.catch(() => {}).then(() => linger.abort());
    const waited = this.#options.clock.sleep(REFUSAL_LINGER_MS, linger.signal).catch(() => {});
    await Promise.race([closed, waited]);
    linger.abort();
    conn.close({ closeCode: 1, reason: code });
  }
}

async function completeTls(incoming: Deno.QuicIncoming): Promise<Deno.QuicConn> {
  try {
    // As the endpoint listens now: options given here would go with the certificate that it had when
    // this was asked for.
    return await incoming.accept();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw handshakeFailed(`TLS failed: ${reason}`, cause);
  }
}

async function firstStream(conn: Deno.QuicConn): Promise<Deno.QuicBidirectionalStream> {
  const reader = conn.incomingBidirectionalStreams.getReader();
  const { done, value } = await reader.read();
  if (done) throw handshakeFailed("the caller closed the connection");
  reader.releaseLock();
  return value;
}
