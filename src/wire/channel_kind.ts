/**
 * Channels of a migration in the order of their priority; the index is the number on the wire.
 * `pageRequest` and `returnPath` are reserved by protocol version 1.
 */
export const CHANNEL_KINDS = ["control", "pageRequest", "returnPath", "memory", "disk"] as const;
/** Name of a channel. */
export type ChannelKind = typeof CHANNEL_KINDS[number];

/** Memory and disk: large, paced, bounded by the peer's window. The others never wait for them. */
export function isBulk(kind: ChannelKind): boolean {
  return kind === "memory" || kind === "disk";
}

/** Number of a kind on the wire. */
export function kindNumber(kind: ChannelKind): number {
  return CHANNEL_KINDS.indexOf(kind);
}
