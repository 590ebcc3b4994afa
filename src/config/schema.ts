import { z } from "zod";
import { DOMAIN_NAME, DOMAIN_NAME_RULE } from "../core/domain_name.ts";
import { FINGERPRINT_PATTERN } from "../identity/fingerprint.ts";
import { templateProblem } from "../security/launch_template.ts";
import { parseHostPort } from "./address.ts";

const NAME_RULE = "1 to 64 of A-Z a-z 0-9 . _ - beginning with a letter or digit";
const ADDRESS_RULE = "HOST:PORT or [IPV6]:PORT with a port of 0 to 65535";
const PEER_ADDRESS_RULE = "HOST:PORT or [IPV6]:PORT with a port of 1 to 65535";

/** Names of sites and peers: they become file names and stand in logs and reports. */
export const siteName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, NAME_RULE);

/** Where a gateway listens; port 0 lets the system choose. */
export const listenAddress = z.string()
  .refine((text) => parseHostPort(text) !== null, ADDRESS_RULE);

/** Where a peer is reached. */
export const peerAddress = z.string()
  .refine((text) => (parseHostPort(text)?.port ?? 0) > 0, PEER_ADDRESS_RULE);

const filePath = z.string().min(1, "a path").max(4096, "a path of at most 4096 characters");

/** One trusted peer as causeway.json names it. */
export const peerEntry = z.strictObject({
  name: siteName,
  /** PEM file with the peer's site certificate. */
  certificate: filePath,
  /** Other certificates that it may show while it changes from one to the next. */
  alsoCertificates: z.array(filePath).max(4, "at most 4 certificates").default([]),
  /** Null: the peer is accepted, never dialled. */
  address: peerAddress.nullable().default(null),
  /** When given, the certificate file must have it. */
  fingerprint: z.string().regex(FINGERPRINT_PATTERN, "sha256: and 64 hex digits").optional(),
});

/** Commands that may be run: see `src/security/launch_template.ts`. */
const launchTemplates = z.array(
  z.union([z.literal("reference"), z.array(z.string().max(4096)).min(1).max(1024)], {
    error: 'must be "reference" or a command as a list of arguments',
  }),
).max(256).superRefine((templates, context) => {
  templates.forEach((template, index) => {
    const problem = template === "reference" ? null : templateProblem(template);
    if (problem === null) return;
    const message = `commands that can be meant (${problem})`;
    context.addIssue({ code: "custom", path: [index], message });
  });
});
const socketPattern = z.string().max(4096)
  .regex(
    /^(?:\/|tcp:)/,
    "an absolute path or tcp:HOST:PORT, with * and ? for what may be anything",
  );

/** What machines that are registered here may name; null: anything that an admin gives. */
const allow = z.strictObject({
  /** Folders for images. */
  paths: z.array(filePath).max(256).nullable().default(null),
  /** Monitor sockets. */
  sockets: z.array(socketPattern).max(256).nullable().default(null),
  /** Commands, and `reference` for the embedded machine. */
  launch: launchTemplates.nullable().default(null),
});

const quota = z.number().int().min(0).nullable().default(null);

/** What one peer may send here. */
const peerAcceptance = z.strictObject({
  /** Ids, with * and ? for what may be anything. */
  guests: z.array(z.string().min(1).max(128)).max(1024).default(["*"]),
  memoryBytesMax: quota,
  diskBytesMax: quota,
  movesMax: quota,
});

/** What this site takes from its peers, by their names; `*` is for those that are not named. */
const accept = z.strictObject({
  peers: z.record(z.union([siteName, z.literal("*")]), peerAcceptance).default({}),
});

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;
/** A week; timers take 24 days. */
const KEPT_MS_MAX = 7 * 24 * HOUR_MS;

/** Bounds of the link to each peer, and of each migration's memory. */
export const limits = z.strictObject({
  /** Cap over everything that goes to one peer until PATCH /v1/peers changes it; null is none. */
  linkBytesPerSecond: z.number().int().min(1024).nullable().default(null),
  /**
   * Frames that one peer has not applied yet; both gateways hold them in memory, and the smaller of
   * their two limits counts. A window must hold two of the longest frames.
   */
  unacknowledgedBytesMax: z.number().int().min(4 * MIB).max(4096 * MIB).default(32 * MIB),
  /** Pages of one migration that wait for the link; more makes the machine's stream wait. */
  pagePoolBytesMax: z.number().int().min(MIB).max(65_536 * MIB).default(256 * MIB),
  /** Contents of what the destination holds that are kept in memory, of one migration. */
  pageImageBytesMax: z.number().int().min(MIB).max(65_536 * MIB).default(64 * MIB),
  /** Contents of pages and blocks that the site keeps for later moves, on disk; 0: none. */
  siteStoreBytesMax: z.number().int().min(0).max(65_536 * MIB).default(1024 * MIB),
  /** Images of guests' memory that stay after their moves, for the next one; 0 keeps none. */
  keptImagesMax: z.number().int().min(0).max(1024).default(8),
  /** What these take in the state directory (with memoryAtRest "never": in memory). */
  keptBytesMax: z.number().int().min(0).default(32 * 1024 * MIB),
  /** How long one stays after a move that failed or was cancelled. */
  keptAttemptMs: z.number().int().min(0).max(KEPT_MS_MAX).default(HOUR_MS),
  /** And after one that was completed, for the way home. */
  keptDepartureMs: z.number().int().min(0).max(KEPT_MS_MAX).default(24 * HOUR_MS),
  /** How often UDP is tried again while a link goes over TCP because UDP did not pass. */
  udpRetryMs: z.number().int().min(1000).max(24 * HOUR_MS).default(60_000),
  /** Up to this round trip a link goes over TCP with BBR; 0: for no path's length. */
  shortRoundTripMs: z.number().int().min(0).max(250).default(50),
});

/** Where the means `dns` changes records of a zone, and with which key. */
export const nameServer = z.strictObject({
  /** The zone's primary. */
  address: peerAddress,
  zone: z.string().max(254).regex(DOMAIN_NAME, DOMAIN_NAME_RULE),
  /** A TSIG key as `tsig-keygen` writes it; no more than its path is ever told. */
  keyFile: filePath,
});
export type NameServerEntry = z.infer<typeof nameServer>;

/** A command that makes sure that a machine cannot run at the other site, before it runs here. */
export const fence = z.strictObject({
  /** Program and arguments; no shell in between. */
  command: z.array(z.string().min(1).max(4096)).min(1, "a program and its arguments").max(64),
  timeoutMs: z.number().int().min(100).max(HOUR_MS).default(30_000),
});

/** causeway.json; paths are relative to the directory of the file. */
export const configFile = z.strictObject({
  site: siteName,
  http: listenAddress.default("127.0.0.1:7421"),
  link: listenAddress.default("0.0.0.0:7420"),
  /**
   * What carries the link: QUIC over UDP, or TLS over TCP where UDP does not pass ("auto"), or one of
   * them alone, for what this site dials and for what it accepts.
   */
  carrier: z.enum(["auto", "quic", "tls"]).default("auto"),
  /** Names beside its address that the API answers to, such as that of a proxy before it. */
  httpHosts: z.array(z.string().min(1).max(253)).max(64).default([]),
  /** The operator's copy of the token; it may be moved away once the gateway has seen it. */
  apiTokenFile: filePath.default("api-token"),
  certificateFile: filePath.default("site.crt"),
  keyFile: filePath.default("site.key"),
  /** Made by `rotate-key`; the gateway proves itself by this one where it exists. */
  linkKeyFile: filePath.default("link-key.pem"),
  ledgerFile: filePath.default("state/ledger.sqlite"),
  stateDirectory: filePath.default("state"),
  peers: z.array(peerEntry).max(256, "at most 256 peers").default([]),
  /** Hosts that a QEMU on another machine may reach the gateway by (`data` of a guest). */
  dataHosts: z.array(z.string().min(1).max(253)).max(256).default([]),
  allow: allow.default(() => allow.parse({})),
  accept: accept.default(() => accept.parse({})),
  /** Images whose content every peer may refer to: base images that are no secret. */
  sharedImages: z.array(filePath).max(256, "at most 256 images").default([]),
  /** Whether memory of machines may be written to disk, encrypted. */
  memoryAtRest: z.enum(["encrypted", "never"]).default("encrypted"),
  /**
   * Threads beside the gateway's own that compress what leaves; null: one less than the machine has
   * cores, and at least one. 0: none.
   */
  compressionWorkers: z.number().int().min(0).max(64).nullable().default(null),
  /** Called before a machine is started here whose other site cannot be asked; null: nothing is. */
  fence: fence.nullable().default(null),
  /** Name servers that machines of this site may name in the means `dns`. */
  nameServers: z.record(siteName, nameServer).default({}),
  limits: limits.default(() => limits.parse({})),
}).superRefine((config, context) => {
  const seen = new Set<string>();
  config.peers.forEach(({ name }, index) => {
    if (seen.has(name)) {
      const message = `a name that no other peer has (${name} is taken)`;
      context.addIssue({ code: "custom", path: ["peers", index, "name"], message });
    }
    seen.add(name);
  });
});

export type ConfigFile = z.infer<typeof configFile>;
export type PeerEntry = z.infer<typeof peerEntry>;
