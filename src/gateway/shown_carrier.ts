import { timestamp } from "../core/clock.ts";
import type { CarrierInUse } from "../link/carrier_choice.ts";

/** What carries a link, as the API shows it. */
export interface CarrierView {
  /** `quic` over UDP, `tls` over TCP. */
  kind: string;
  reason: string;
  /** RFC 3339 UTC. */
  since: string;
  /** Congestion control of the TCP connections; null over UDP and where it cannot be told. */
  congestionControl: string | null;
}

export function shownCarrier(inUse: CarrierInUse | null): CarrierView | null {
  if (inUse === null) return null;
  const { kind, reason, sinceMs, congestionControl } = inUse;
  return { kind, reason, since: timestamp(sinceMs), congestionControl };
}

/** The same in words, for the log. */
export function carrierText({ kind, reason, congestionControl }: CarrierInUse): string {
  return `over ${carrierName(kind, congestionControl)}: ${reason}`;
}

/** A carrier's name for people. */
export function carrierName(kind: string, congestionControl: string | null): string {
  if (kind === "quic") return "QUIC (UDP)";
  if (kind !== "tls") return kind;
  return congestionControl === null ? "TLS (TCP)" : `TLS (TCP, ${congestionControl})`;
}
