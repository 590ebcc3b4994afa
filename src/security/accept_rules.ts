import { GatewayError } from "../core/errors.ts";
import { globMatches } from "./globs.ts";

/** What this site takes from one peer. Null: as much as comes. */
export interface PeerAcceptance {
  /** Globs of guest ids. */
  readonly guests: readonly string[];
  /** Memory of all machines of this peer that arrive or have arrived and live here. */
  readonly memoryBytesMax: number | null;
  /** The same of their disks, by the sizes that the machines see. */
  readonly diskBytesMax: number | null;
  /** Machines that arrive at once. */
  readonly movesMax: number | null;
}

/** `accept` of the configuration. */
export interface AcceptRules {
  /** By name; `*` is for those that are not named. */
  readonly peers: Readonly<Record<string, PeerAcceptance>>;
}

/** What a peer has here already. */
export interface Usage {
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly moves: number;
}

/** The rules for a peer; null: every guest that is registered to arrive, without quota. */
export function acceptanceOf(rules: AcceptRules, peer: string): PeerAcceptance | null {
  const named = Object.hasOwn(rules.peers, peer) ? rules.peers[peer] : undefined;
  return named ?? (Object.hasOwn(rules.peers, "*") ? rules.peers["*"] : null);
}

/** Whether a peer may send this guest at all. @throws {GatewayError} `guest_not_accepted` */
export function requireGuestAccepted(
  acceptance: PeerAcceptance | null,
  { guest, peer, site }: { readonly guest: string; readonly peer: string; readonly site: string },
): void {
  if (acceptance === null || acceptance.guests.some((pattern) => globMatches(pattern, guest))) {
    return;
  }
  throw new GatewayError(
    "guest_not_accepted",
    `Cannot accept ${guest}: ${site} does not take it from ${peer}`,
    { hint: `An operator of ${site} can add it to accept.peers.${peer}.guests` },
  );
}

/**
 * Whether one more machine of this size fits the quotas of its peer.
 *
 * @param used by machines of this peer, without the new one
 * @throws {GatewayError} `quota_exceeded`, naming the first quota that is too small
 */
export function requireQuota(
  acceptance: PeerAcceptance | null,
  { guest, peer, site }: { readonly guest: string; readonly peer: string; readonly site: string },
  sizes: { readonly memoryBytes: number; readonly diskBytes: number },
  used: Usage,
): void {
  if (acceptance === null) return;
  const quotas = [
    ["movesMax", used.moves + 1, acceptance.movesMax, "machines that arrive at once"],
    [
      "memoryBytesMax",
      used.memoryBytes + sizes.memoryBytes,
      acceptance.memoryBytesMax,
      "bytes of memory",
    ],
    ["diskBytesMax", used.diskBytes + sizes.diskBytes, acceptance.diskBytesMax, "bytes of disks"],
  ] as const;
  for (const [field, needed, max, what] of quotas) {
    if (max === null || needed <= max) continue;
    throw new GatewayError(
      "quota_exceeded",
      `Cannot accept ${guest}: with it ${peer} would have ${needed} ${what} at ${site}, ` +
        `the quota is ${max}`,
      {
        hint: `Move something away first, or have an operator of ${site} raise ` +
          `accept.peers.${peer}.${field}`,
      },
    );
  }
}
