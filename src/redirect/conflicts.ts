import { GatewayError } from "../core/errors.ts";
import { formatIp, parseSubnet, type Subnet, subnetsOverlap } from "../core/ip_address.ts";
import { type MachineAddress, sameForm } from "../guest/addresses.ts";

/** The addresses that one machine names at this site. */
export interface Claims {
  readonly guest: string;
  readonly addresses: readonly MachineAddress[];
}

/**
 * An address belongs to one machine, and a network is one network: what is claimed twice would be
 * redirected for one machine and be gone for the other.
 *
 * @throws {GatewayError} `address_conflict`
 */
export function requireUnclaimed(mine: Claims, others: readonly Claims[]): void {
  const ips = mine.addresses.map(({ ip }) => sameForm(ip));
  const twice = ips.find((ip, index) => ips.indexOf(ip) !== index);
  if (twice !== undefined) throw conflict(mine.guest, `${twice} is named twice`);
  for (const other of others) {
    if (other.guest === mine.guest) continue;
    for (const [field, of] of FIELDS) {
      const theirs = new Set(other.addresses.map(of));
      const both = mine.addresses.map(of).find((value) => value !== null && theirs.has(value));
      if (both) throw conflict(mine.guest, `${field} ${both} is ${other.guest}'s`);
    }
  }
  const subnets = [mine, ...others].flatMap(({ guest, addresses }) =>
    addresses.flatMap(({ subnet }) => {
      const parsed = subnet === undefined ? null : parseSubnet(subnet);
      return parsed ? [{ guest, subnet: parsed }] : [];
    })
  );
  for (const { subnet } of subnets.filter(({ guest }) => guest === mine.guest)) {
    const other = subnets.find((each) =>
      textOf(each.subnet) !== textOf(subnet) && subnetsOverlap(each.subnet, subnet)
    );
    if (other) {
      throw conflict(
        mine.guest,
        `${textOf(subnet)} overlaps ${textOf(other.subnet)} of ${other.guest}`,
      );
    }
  }
}

const FIELDS: readonly (readonly [string, (address: MachineAddress) => string | null])[] = [
  ["address", ({ ip }) => sameForm(ip)],
  ["MAC", ({ mac }) => mac?.toLowerCase() ?? null],
  ["name", ({ name }) => name?.toLowerCase().replace(/\.$/, "") ?? null],
];

function textOf({ address, prefixBits }: Subnet): string {
  return `${formatIp(address)}/${prefixBits}`;
}

function conflict(guest: string, why: string): GatewayError {
  return new GatewayError("address_conflict", `Cannot register ${guest}: ${why}`, {
    hint: "An address belongs to one machine; see GET /v1/redirects for who has which",
  });
}
