import { z } from "zod";
import { DOMAIN_NAME, DOMAIN_NAME_RULE } from "../core/domain_name.ts";
import { formatIp, parseIp, parseSubnet, subnetHas } from "../core/ip_address.ts";

const ip = z.string().max(64).refine((text) => parseIp(text) !== null, "an IPv4 or IPv6 address");
const mac = z.string()
  .regex(/^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$/, "a MAC address such as 52:54:00:12:34:56");
/** A Linux network device: at most 15 characters, and never an option to a command. */
const device = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,14}$/, "the name of a device");

const domainName = z.string().max(254).regex(DOMAIN_NAME, DOMAIN_NAME_RULE);

/** One address of a machine, which follows it when it moves. */
export const machineAddress = z.strictObject({
  ip,
  /** Of the network device that has it. */
  mac: mac.optional().meta({ description: "Of the machine's device; announced with the address" }),
  /** The network that the address belongs to at its home, for conflicts. */
  subnet: z.string().max(64).refine(
    (text) => parseSubnet(text) !== null,
    "a subnet such as " +
      "192.0.2.0/24",
  ).optional(),
  /** The router that the machine sends to, as it knows it. */
  gateway: ip.optional().meta({
    description:
      "The machine's router, answered for at the new site while addresses are redirected",
  }),
  name: domainName.optional().meta({ description: "Its name in the DNS" }),
}).superRefine(({ ip, subnet, gateway }, context) => {
  const net = subnet === undefined ? null : parseSubnet(subnet);
  const address = parseIp(ip);
  if (net && address && !subnetHas(net, address)) {
    context.addIssue({ code: "custom", path: ["subnet"], message: `a subnet that has ${ip}` });
  }
  if (gateway !== undefined && parseIp(gateway)?.family !== address?.family) {
    const message = "a router of the same family as the address";
    context.addIssue({ code: "custom", path: ["gateway"], message });
  }
});
export type MachineAddress = z.infer<typeof machineAddress>;

const announce = z.strictObject({
  kind: z.literal("announce"),
  /** How often, and how far apart; the first one goes at once. */
  rounds: z.number().int().min(1).max(50).default(5),
  intervalMs: z.number().int().min(10).max(10_000).default(200),
});
const ttlSeconds = z.number().int().min(0).max(7 * 86_400);
const dns = z.strictObject({
  kind: z.literal("dns"),
  /** One of `nameServers` of the site's configuration, which has zone and key. */
  nameServer: z.string().min(1).max(64)
    .meta({ description: "One of `nameServers` in the site's configuration" }),
  /** What the names lead to while the machine runs at this site. */
  records: z.array(z.strictObject({ name: domainName, ip })).min(1).max(64).optional().meta({
    description:
      "The machine's names and addresses at this site; without it `addresses` with a name",
  }),
  /** From before a move until it is drained. */
  movingTtlSeconds: ttlSeconds.default(5),
  /** Between moves. */
  ttlSeconds: ttlSeconds.optional().meta({
    description: "Between moves; without it the one that was found before the move",
  }),
});
const hook = z.strictObject({
  kind: z.literal("hook"),
  /** Program and arguments; no shell in between. */
  command: z.array(z.string().min(1).max(4096)).min(1, "a program and its arguments").max(64),
  timeoutMs: z.number().int().min(100).max(600_000).default(10_000),
});
const kernel = z.strictObject({
  kind: z.literal("kernel"),
  /** The way to the other site, by family of the redirected addresses. */
  via: z.strictObject({ ipv4: ip.optional(), ipv6: ip.optional() })
    .meta({ description: "Next hop towards the other site, for each family" }),
  device: device.meta({ description: "Device towards the other site: a line, VXLAN, WireGuard…" }),
});
const tunnel = z.strictObject({
  kind: z.literal("tunnel"),
  mtuBytes: z.number().int().min(1280).max(9000).default(1500),
  /** Packets for the machine that are kept while it stands still. */
  keptBytesMax: z.number().int().min(0).max(256 * 1024 * 1024).default(4 * 1024 * 1024),
});

/** One way to make a machine's addresses follow it, at this site. */
export const meansSettings = z.discriminatedUnion("kind", [announce, dns, hook, kernel, tunnel]);
export type MeansSettings = z.infer<typeof meansSettings>;
/** The name of one. */
export type MeansKind = MeansSettings["kind"];

const port = z.number().int().min(1).max(65_535);
/** A question that the machine answers while it is reached. */
export const probeSettings = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("icmp") }),
  /** ARP, or a neighbour solicitation, on `device`. */
  z.strictObject({ kind: z.literal("neighbour") }),
  z.strictObject({ kind: z.literal("tcp"), port }),
  z.strictObject({
    kind: z.literal("http"),
    port: port.default(80),
    path: z.string().regex(/^\/[\x21-\x7e]{0,1023}$/, "a path that begins with /").default("/"),
  }),
]);
/** One of them. */
export type ProbeSettings = z.infer<typeof probeSettings>;

/** How this site makes a machine's addresses follow it. */
export const redirectSettings = z.strictObject({
  /** The device of this site's gateway on the machine's network: a bridge, mostly. */
  device,
  means: z.array(meansSettings).min(1).max(8),
  /** When what was set for old flows is taken away again. */
  drain: z.strictObject({
    /** So long no packet has to have passed. */
    idleMs: z.number().int().min(100).max(86_400_000).default(60_000),
    /** After so long it goes anyway; null: not while packets pass. */
    limitMs: z.number().int().min(100).max(31 * 86_400_000).nullable().default(3_600_000),
  }).default({ idleMs: 60_000, limitMs: 3_600_000 }),
  /** Asked of each address before a move, and from its pause on until all have answered. */
  probes: z.array(probeSettings).max(8).default([]),
  /** After the machine runs at the new site: unanswered for so long, the operator is asked. */
  reachMs: z.number().int().min(100).max(3_600_000).default(10_000),
}).superRefine(({ means }, context) => {
  const kinds = means.map(({ kind }) => kind);
  if (kinds.includes("kernel") && kinds.includes("tunnel")) {
    const message = "kernel or tunnel, not both: each carries the same packets";
    context.addIssue({ code: "custom", path: ["means"], message });
  }
  for (const kind of ["announce", "kernel", "tunnel"]) {
    if (kinds.filter((each) => each === kind).length > 1) {
      context.addIssue({ code: "custom", path: ["means"], message: `${kind} once only` });
    }
  }
});
export type RedirectSettings = z.infer<typeof redirectSettings>;

/** What every kind of machine may name beside the rest of its definition. */
export const addressFields = {
  addresses: z.array(machineAddress).max(64).optional().meta({
    description: "Addresses of the machine that follow it when it moves",
  }),
  redirect: redirectSettings.optional().meta({
    description: "How this site makes the addresses follow; without it nothing is done",
  }),
};

/** One text for each address, however it was written. */
export function sameForm(address: string): string {
  const parsed = parseIp(address);
  return parsed ? formatIp(parsed) : address;
}

/** The means that carries packets between the sites, if there is one. */
export function carryingKind(settings: RedirectSettings): "kernel" | "tunnel" | null {
  const carrying = settings.means.find(({ kind }) => kind === "kernel" || kind === "tunnel");
  return carrying ? carrying.kind as "kernel" | "tunnel" : null;
}
