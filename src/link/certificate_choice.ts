import type { TrustedPeer } from "../config/peers.ts";
import { GatewayError } from "../core/errors.ts";

/**
 * Which certificate of a peer to ask for: while it changes from one to the next it is trusted by
 * several, and shows one of them.
 */
export class CertificateChoice {
  /** The one that was right last, by the peer's name. */
  readonly #right = new Map<string, string>();

  /**
   * Dials with one certificate after the other until the peer shows it, the one that was right last
   * first.
   *
   * @param entries of one peer, one for each certificate
   * @throws what `dial` threw for the first of them, where none is right; anything but
   *   `peer_not_trusted` at once
   */
  async dial<T>(
    entries: readonly TrustedPeer[],
    dial: (entry: TrustedPeer) => Promise<T>,
  ): Promise<T> {
    let first: unknown = null;
    for (const entry of this.#inOrder(entries)) {
      try {
        const dialled = await dial(entry);
        this.#right.set(entry.name, entry.certificate.fingerprint);
        return dialled;
      } catch (error) {
        if (!(error instanceof GatewayError) || error.code !== "peer_not_trusted") throw error;
        first ??= error;
      }
    }
    throw first;
  }

  #inOrder(entries: readonly TrustedPeer[]): TrustedPeer[] {
    const wasRight = ({ name, certificate }: TrustedPeer) =>
      this.#right.get(name) === certificate.fingerprint ? 0 : 1;
    return entries.toSorted((one, other) => wasRight(one) - wasRight(other));
  }
}
