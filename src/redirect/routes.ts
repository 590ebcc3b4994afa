import { parseIp } from "../core/ip_address.ts";
import { type MachineAddress, sameForm } from "../guest/addresses.ts";
import type { RedirectSide, Stage } from "./state.ts";

/** Where packets of redirected addresses go through to the other site. */
export interface Carrier {
  readonly device: string;
  /** Next hops beyond the device; null: the device itself is the way. */
  readonly via: { readonly ipv4?: string; readonly ipv6?: string } | null;
}

/** What the routes of one redirect depend on. */
export interface RouteSubject {
  readonly side: RedirectSide;
  readonly addresses: readonly MachineAddress[];
  /** The gateway's device on the machine's network. */
  readonly lan: string;
  readonly carrier: Carrier;
  /** Of this redirect alone: table and priority of its rules. */
  readonly table: number;
  /** The addresses belong to this site: they need no way back to another one. */
  readonly isHome: boolean;
}

/** Arguments of `ip`, in order, the family first; what is set is marked as Causeway's by its number. */
export interface RoutePlan {
  readonly remove: readonly (readonly string[])[];
  readonly set: readonly (readonly string[])[];
}

/** Of routes that this gateway has set (`ip route show proto 188`). */
export const ROUTE_PROTOCOL = "188";
/** Where a machine's packets leave for the other site, before where they would be delivered. */
const CAPTURE_METRIC = "50";
const DELIVER_METRIC = "100";

/** A table of its own for each redirect, 30000 to 59999: two moves at once hardly ever share one. */
export function tableOf(migration: string): number {
  let hash = 0;
  for (const letter of migration) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0;
  return 30_000 + hash % 30_000;
}

/**
 * The routes of a stage. Idempotent: to remove what may not be there and then set what is wanted
 * leads there from anywhere, after any crash.
 *
 * Old site, from the switch on: the machine's address leads to the carrier, and the gateway answers
 * for it on the machine's old network. New site: the address leads to the machine's new network, what
 * it sends goes back the way its packets came (so that firewalls on the way see both directions), and
 * the gateway answers for the router that the machine knows. What belongs to the home of the
 * addresses needs neither.
 */
export function routePlan(subject: RouteSubject, stage: Stage): RoutePlan {
  const wanted = stage === "redirecting" || stage === "draining";
  const { side, isHome } = subject;
  const pairs = side === "old" ? oldRoutes(subject) : isHome ? [] : newRoutes(subject);
  return {
    remove: pairs.map(({ remove }) => remove),
    set: wanted ? pairs.map(({ set }) => set) : [],
  };
}

interface Pair {
  readonly set: readonly string[];
  readonly remove: readonly string[];
}

function oldRoutes({ addresses, lan, carrier }: RouteSubject): Pair[] {
  return addresses.flatMap(({ ip }) => {
    const host = hostPrefix(ip);
    const route = [host, ...way(carrier, ip), "metric", CAPTURE_METRIC, "proto", ROUTE_PROTOCOL];
    return [
      pair(ip, ["route", "replace"], ["route", "del"], route),
      proxy(sameForm(ip), lan),
    ];
  });
}

function newRoutes({ addresses, lan, carrier, table }: RouteSubject): Pair[] {
  const number = `${table}`;
  const routers = new Set(addresses.flatMap(({ gateway }) => gateway ? [sameForm(gateway)] : []));
  return [
    ...addresses.flatMap(({ ip, mac }) => {
      const host = hostPrefix(ip);
      // Asked for, the machine's MAC could take a second to learn: a first question is easily lost.
      const neighbour = [sameForm(ip), "dev", lan];
      const known = mac === undefined ? [] : [{
        set: [
          `-${familyOf(ip)}`,
          "neigh",
          "replace",
          ...neighbour,
          "lladdr",
          mac,
          "nud",
          "reachable",
        ],
        remove: [`-${familyOf(ip)}`, "neigh", "del", ...neighbour],
      }];
      const toMachine = [host, "dev", lan, "metric", DELIVER_METRIC, "proto", ROUTE_PROTOCOL];
      const rule = ["from", host, "lookup", number, "priority", number];
      return [
        pair(ip, ["route", "replace"], ["route", "del"], toMachine),
        pair(ip, ["rule", "add"], ["rule", "del"], rule),
        ...known,
      ];
    }),
    ...families(addresses).map((family) => {
      const everything = family === 4 ? "0.0.0.0/0" : "::/0";
      const example = addresses.find(({ ip }) => familyOf(ip) === family)!.ip;
      const route = [everything, ...way(carrier, example), "table", number, "proto"];
      route.push(ROUTE_PROTOCOL);
      return pair(example, ["route", "replace"], ["route", "del"], route);
    }),
    ...[...routers].map((router) => proxy(router, lan)),
  ];
}

function proxy(ip: string, device: string): Pair {
  const entry = ["proxy", ip, "dev", device];
  return pair(ip, ["neigh", "replace"], ["neigh", "del"], entry);
}

function pair(
  ip: string,
  set: readonly string[],
  remove: readonly string[],
  words: readonly string[],
): Pair {
  const family = `-${familyOf(ip)}`;
  return { set: [family, ...set, ...words], remove: [family, ...remove, ...words] };
}

function way({ device, via }: Carrier, ip: string): string[] {
  const hop = familyOf(ip) === 4 ? via?.ipv4 : via?.ipv6;
  return [...(hop === undefined ? [] : ["via", sameForm(hop)]), "dev", device];
}

export function familyOf(ip: string): 4 | 6 {
  return parseIp(ip)!.family;
}

export function families(addresses: readonly { readonly ip: string }[]): (4 | 6)[] {
  return [...new Set(addresses.map(({ ip }) => familyOf(ip)))].sort();
}

function hostPrefix(ip: string): string {
  return `${sameForm(ip)}/${familyOf(ip) === 4 ? 32 : 128}`;
}
