import { toGatewayError } from "../core/errors.ts";
import type { KnownKeys } from "../identity/known_keys.ts";
import type { Ledger } from "../ledger/ledger.ts";

/** What the ledger knows of peers' keys; a newer one is recorded, and is in the audit. */
export function peerKeys(
  ledger: Pick<Ledger, "keyGeneration" | "keySeen">,
  audit: (kind: string, body: Record<string, unknown>) => void,
  log: (level: "error", message: string) => void,
): KnownKeys {
  return {
    keyGeneration: (fingerprint) => ledger.keyGeneration(fingerprint),
    keySeen(fingerprint, generation) {
      // The lanes of one connection prove it each for itself.
      if (generation <= ledger.keyGeneration(fingerprint)) return;
      try {
        ledger.keySeen(fingerprint, generation);
        audit("peer_key_seen", { fingerprint, generation });
      } catch (error) {
        log("error", toGatewayError(error).message);
      }
    },
  };
}
