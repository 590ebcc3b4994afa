/** An IPv4 or IPv6 address as bytes in network order: 4 or 16 of them. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
}

/** The addresses whose first `prefixBits` bits are those of `address`. */
export interface Subnet {
  readonly address: IpAddress;
  readonly prefixBits: number;
}

/** Reads `192.0.2.1` or an IPv6 text form (RFC 4291 section 2.2), without a zone; null: neither. */
export function parseIp(text: string): IpAddress | null {
  const bytes = text.includes(":") ? parseV6(text) : parseV4(text);
  return bytes && { family: bytes.length === 4 ? 4 : 6, bytes };
}

/** Reads `192.0.2.0/24` or `2001:db8::/64`; bits below the prefix are cleared. Null: not of this form. */
export function parseSubnet(text: string): Subnet | null {
  const [ip, bits, more] = text.split("/");
  const address = parseIp(ip);
  if (!address || more !== undefined || !/^\d{1,3}$/.test(bits ?? "")) return null;
  const prefixBits = Number(bits);
  if (prefixBits > address.bytes.length * 8) return null;
  return { address: { ...address, bytes: masked(address.bytes, prefixBits) }, prefixBits };
}

/** One text for each address, IPv6 as RFC 5952 asks for: what is compared and stored. */
export function formatIp({ family, bytes }: IpAddress): string {
  if (family === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, n) => bytes[2 * n] * 256 + bytes[2 * n + 1]);
  const zeroes = longestZeroes(groups);
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  if (zeroes.count < 2) return hex(groups);
  return `${hex(groups.slice(0, zeroes.at))}::${hex(groups.slice(zeroes.at + zeroes.count))}`;
}

/** True where both have an address in common: one of them then lies within the other. */
export function subnetsOverlap(left: Subnet, right: Subnet): boolean {
  const bits = Math.min(left.prefixBits, right.prefixBits);
  return left.address.family === right.address.family &&
    sameBytes(masked(left.address.bytes, bits), masked(right.address.bytes, bits));
}

/** True where the address lies within the subnet. */
export function subnetHas({ address, prefixBits }: Subnet, ip: IpAddress): boolean {
  return address.family === ip.family && sameBytes(masked(ip.bytes, prefixBits), address.bytes);
}

function parseV4(text: string): Uint8Array | null {
  // Leading zeroes would be octal to some readers.
  const parts = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(
    text,
  )
    ?.slice(1).map(Number);
  return parts?.every((part) => part < 256) ? Uint8Array.from(parts) : null;
}

function parseV6(text: string): Uint8Array | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [head, tail] = halves.map(groupsOf);
  if (!head || (halves.length === 2 && !tail)) return null;
  const given = head.length + (tail?.length ?? 0);
  if (tail ? given > 7 : given !== 8) return null;
  const groups = [...head, ...Array(8 - given).fill(0), ...(tail ?? [])];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

function groupsOf(text: string): number[] | null {
  if (text === "") return [];
  const parts = text.split(":");
  const last = parts.at(-1)!;
  const embedded = last.includes(".") ? parseV4(last) : null;
  if (last.includes(".") && !embedded) return null;
  const hex = embedded ? parts.slice(0, -1) : parts;
  if (!hex.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return null;
  const groups = hex.map((part) => parseInt(part, 16));
  if (embedded) groups.push(embedded[0] * 256 + embedded[1], embedded[2] * 256 + embedded[3]);
  return groups;
}

/** The first of the longest runs of zero groups. */
function longestZeroes(groups: readonly number[]): { at: number; count: number } {
  let best = { at: 0, count: 0 };
  for (let at = 0; at < groups.length; at++) {
    let count = 0;
    while (groups[at + count] === 0) count++;
    if (count > best.count) best = { at, count };
    at += count;
  }
  return best;
}

function masked(bytes: Uint8Array, prefixBits: number): Uint8Array {
  return bytes.map((byte, index) => {
    const kept = Math.min(8, Math.max(0, prefixBits - 8 * index));
    return byte & (0xff << (8 - kept));
  });
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
