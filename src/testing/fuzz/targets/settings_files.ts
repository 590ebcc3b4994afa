import assert from "node:assert/strict";
import { parseSiteCertificate } from "../../../identity/site_certificate.ts";
import { loadIdentity } from "../../../identity/site_identity.ts";
import { formatHostPort, parseHostPort } from "../../../config/address.ts";
import { CONFIG_FILE_BYTES_MAX, parseConfig } from "../../../config/config.ts";
import { jsonErrorOffset } from "../../../core/json_position.ts";
import { LinkModel } from "../../../emulator/link_model.ts";
import { listProfiles } from "../../../emulator/load_profile.ts";
import { parseProfile } from "../../../emulator/profile.ts";
import { formatQmpAddress, parseQmpAddress } from "../../../qemu/qmp/address.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import { KNOWN_SITE } from "../known_site.ts";
import { mutateJson } from "../json_mutator.ts";
import { fastDirectory } from "../fast_directory.ts";
import type { FuzzTarget } from "../target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const DIRECTION = { rateBitsPerSecond: 1e8, delayMs: 10 };
const PROFILES: readonly unknown[] = [
  { name: "a", description: "b", source: "c", forward: DIRECTION },
  {
    name: "a",
    description: "b",
    source: "c",
    forward: { ...DIRECTION, jitterMs: 5, lossRatio: 0.01, queueBytes: 50_000, reorder: true },
    backward: {
      ...DIRECTION,
      burstLoss: { goodToBadRatio: 0.1, badToGoodRatio: 0.5, lossInBadRatio: 0.9 },
      duplicateRatio: 0.1,
    },
    timeline: [
      { atMs: 100, direction: "forward", set: { delayMs: 20 }, outageMs: 50, outageMode: "hold" },
      { atMs: 300, outageMs: 5 },
    ],
    timelinePeriodMs: 1_000,
  },
];

/** A profile of a WAN, written by hand. */
export async function wanProfile(): Promise<FuzzTarget> {
  const shipped = (await listProfiles()).map((profile) => JSON.stringify(profile));
  return {
    name: "wan-profile",
    reads: "WAN profiles as files (src/emulator/profile.ts)",
    codes: ["profile_invalid"],
    form: "text",
    bufferBytesMax: 16 * 2 ** 20,
    testExecutions: 4_000,
    generate: (dice) =>
      encoder.encode(
        dice.chance(0.2) ? dice.pick(shipped) : JSON.stringify(dice.pick(PROFILES), null, 1),
      ),
    mutate: (input, dice, others) =>
      mutateJson(input, dice, others, ["set", "outageMs", "timelinePeriodMs", "burstLoss"]),
    run(input) {
      const profile = parseProfile(decoder.decode(input), "fuzz");
      for (const direction of ["forward", "backward"] as const) {
        const { delayMs, jitterMs, queueBytes } = profile[direction];
        assert.ok(delayMs >= jitterMs && queueBytes > 0);
        const model = new LinkModel(profile, direction, 1, 0);
        for (let nowMs = 0; nowMs < 2_000; nowMs += 100) {
          if (model.offer(1_500, nowMs) === "delivered") assert.ok(model.arrivalMs >= nowMs);
        }
      }
      return `${profile.timeline.length > 0} ${profile.timelinePeriodMs !== null}`;
    },
  };
}

const CONFIG = {
  site: "west",
  http: "127.0.0.1:7421",
  link: "[::]:7420",
  peers: [
    { name: "east", certificate: "peers/east.crt", address: "192.0.2.1:7420" },
    { name: "north", certificate: "n.crt", fingerprint: `sha256:${"0".repeat(64)}` },
  ],
  dataHosts: ["192.0.2.9"],
  sharedImages: ["/base.qcow2"],
  memoryAtRest: "never",
  compressionWorkers: null,
  limits: { linkBytesPerSecond: 1e6, keptImagesMax: 0 },
};

/** The configuration of a site, and addresses as they stand in it. */
export function siteConfig(): FuzzTarget {
  return {
    name: "site-config",
    reads: "causeway.json, and addresses of links and monitors (src/config)",
    codes: ["config_invalid", "address_invalid"],
    form: "text",
    bufferBytesMax: 16 * 2 ** 20,
    testExecutions: 4_000,
    generate: () => encoder.encode(JSON.stringify(CONFIG, null, 1)),
    mutate: (input, dice, others) =>
      dice.chance(0.002)
        ? encoder.encode(dice.pick(["[", '{"a":', '"']).repeat(CONFIG_FILE_BYTES_MAX / 8))
        : mutateJson(input, dice, others, Object.keys(CONFIG)),
    run(input) {
      const text = decoder.decode(input);
      const isJson = jsonErrorOffset(text) === null;
      assert.equal(isJson, parses(text), "what is JSON is JSON to both");
      addresses(text);
      const { peers, link, http } = parseConfig(text, "fuzz.json");
      for (const address of [link, http]) assert.ok(parseHostPort(address) !== null);
      return `peers ${peers.length > 0}`;
    },
  };
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Any text may stand where an address is expected. */
function addresses(text: string): void {
  for (const part of text.split('"').slice(0, 60)) {
    const parsed = parseHostPort(part);
    if (parsed !== null) {
      assert.ok(parsed.port >= 0 && parsed.port <= 65_535);
      assert.deepEqual(parseHostPort(formatHostPort(parsed)), parsed);
    }
    if (!part.startsWith("tcp:")) continue;
    const address = parseQmpAddress(part);
    assert.deepEqual(parseQmpAddress(formatQmpAddress(address)), address);
  }
}

/** Certificates and keys as files, and as a peer's TLS shows them. */
export async function identityFiles(): Promise<FuzzTarget> {
  const directory = await fastDirectory();
  const files = { certificateFile: `${directory}/a.crt`, keyFile: `${directory}/a.key` };
  await Deno.writeTextFile(files.certificateFile, KNOWN_SITE.certificatePem);
  const { der } = await parseSiteCertificate(KNOWN_SITE.certificatePem, "west");
  const key = encoder.encode(KNOWN_SITE.keyPem);
  // First byte: 0 a certificate as DER, 1 as PEM, 2 a key as PEM.
  const kinds = [der, encoder.encode(KNOWN_SITE.certificatePem), key];
  return {
    name: "identity-files",
    reads: "site certificates (DER, PEM) and keys (src/identity)",
    codes: ["certificate_invalid"],
    form: "bytes",
    bufferBytesMax: 16 * 2 ** 20,
    testExecutions: 600,
    generate(dice) {
      const kind = dice.below(3);
      return Uint8Array.of(kind, ...kinds[kind]);
    },
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    async run(input) {
      const [kind = 0] = input;
      const bytes = input.slice(1);
      if (kind < 2) {
        const source = kind === 0 ? bytes : decoder.decode(bytes);
        const certificate = await parseSiteCertificate(source, "fuzz");
        assert.match(certificate.fingerprint, /^sha256:/);
        return "certificate";
      }
      await Deno.writeFile(files.keyFile, bytes, { mode: 0o600 });
      await loadIdentity(files);
      return "identity";
    },
    close: () => Deno.remove(directory, { recursive: true }),
  };
}
