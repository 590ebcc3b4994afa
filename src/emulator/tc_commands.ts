import type { DirectionName, DirectionSettings, WanProfile } from "./settings.ts";
import { type Segment, segmentsOf } from "./timeline.ts";

/** Where a direction is shaped: its packets come in at one device and leave by the other. */
interface Place {
  readonly direction: DirectionName;
  readonly in: string;
  readonly out: string;
  /** Carries the bottleneck, so that loss and delay lie behind it as in the model. */
  readonly bottleneck: string;
}

const PLACES: readonly Place[] = [
  { direction: "forward", in: "$LEFT", out: "$RIGHT", bottleneck: "ifb0" },
  { direction: "backward", in: "$RIGHT", out: "$LEFT", bottleneck: "ifb1" },
];

/** tbf sends nothing that is longer than its bucket. */
const BURST_BYTES_MIN = 1_600;
/** A bucket lasts for so long; the kernel's own timers are finer. */
const BURST_MS = 1;
/** netem counts packets: small ones must fit as well. */
const PACKET_BYTES_SMALL = 64;
const LIMIT_PACKETS_MIN = 1_000;

/**
 * The profile as a shell script of `tc` commands for a router with netem, whose device `$LEFT` leads
 * to the clients and `$RIGHT` to the address that they send to. Rate and queue are tbf on an
 * intermediate device, everything behind the bottleneck is netem, so a packet meets the same in the
 * same order as in the emulator; what netem cannot do stands there as a comment.
 *
 * Source: tc-tbf(8), tc-netem(8), tc-mirred(8).
 */
export function tcCommands(profile: WanProfile): string[] {
  return [
    "#!/bin/sh",
    `# ${profile.name}: ${profile.description}`,
    "# LEFT and RIGHT are this router's devices; root, and the kernel's modules ifb and sch_netem.",
    "set -eu",
    "modprobe ifb numifbs=2",
    ...PLACES.flatMap((place) => [
      `ip link set ${place.bottleneck} up`,
      `tc qdisc replace dev ${place.in} handle ffff: ingress`,
      `tc filter replace dev ${place.in} parent ffff: matchall ` +
      `action mirred egress redirect dev ${place.bottleneck}`,
      ...shape(place, segmentsOf(profile, place.direction)[0]),
    ]),
    ...timeline(profile),
  ];
}

/** Both queueing disciplines of a direction. */
function shape({ out, bottleneck }: Place, { settings, outage }: Segment): string[] {
  const { rateBitsPerSecond, queueBytes } = settings;
  const burstBytes = Math.max(
    BURST_BYTES_MIN,
    Math.ceil(rateBitsPerSecond * BURST_MS / 8000),
  );
  const tbf = `tc qdisc replace dev ${bottleneck} root tbf rate ${rateBitsPerSecond}bit ` +
    `burst ${burstBytes} limit ${queueBytes}`;
  const lines = [
    tbf,
    `tc qdisc replace dev ${out} root netem ${netem(settings, outage === "drop")}`,
  ];
  if (outage === "hold") lines.push(`# ${bottleneck} would stand still: tc has nothing like that`);
  if (settings.jitterMs > 0 && !settings.reorder) {
    lines.push("# netem's jitter changes the order of packets, the profile's does not");
  }
  if (settings.burstLoss !== null && settings.lossRatio > 0) {
    lines.push(
      `# netem has one loss at a time: ${settings.lossRatio} of single packets is left out`,
    );
  }
  return lines;
}

function netem(settings: DirectionSettings, dark: boolean): string {
  const { delayMs, jitterMs, lossRatio, burstLoss, duplicateRatio, corruptRatio } = settings;
  const inFlightBytes = settings.rateBitsPerSecond * (delayMs + jitterMs) / 8000;
  const limit = LIMIT_PACKETS_MIN + Math.ceil(inFlightBytes / PACKET_BYTES_SMALL);
  const words = [`limit ${limit}`, `delay ${delayMs}ms`];
  if (jitterMs > 0) words.push(`${jitterMs}ms`);
  if (dark) words.push("loss 100%");
  else if (burstLoss !== null) {
    const { goodToBadRatio, badToGoodRatio, lossInBadRatio, lossInGoodRatio } = burstLoss;
    const ratios = [goodToBadRatio, badToGoodRatio, lossInBadRatio, lossInGoodRatio];
    words.push(`loss gemodel ${ratios.map(percent).join(" ")}`);
  } else if (lossRatio > 0) words.push(`loss ${percent(lossRatio)}`);
  if (duplicateRatio > 0) words.push(`duplicate ${percent(duplicateRatio)}`);
  if (corruptRatio > 0) words.push(`corrupt ${percent(corruptRatio)}`);
  return words.join(" ");
}

/** What changes later, with the time between; again and again where the profile has a period. */
function timeline(profile: WanProfile): string[] {
  const changes = PLACES.flatMap((place) =>
    segmentsOf(profile, place.direction).slice(1).map((segment) => ({ place, segment }))
  ).sort((left, right) => left.segment.startMs - right.segment.startMs);
  if (changes.length === 0) return [];
  const lines: string[] = [];
  let nowMs = 0;
  const waitUntil = (ms: number) => {
    if (ms > nowMs) lines.push(`sleep ${(ms - nowMs) / 1000}`);
    nowMs = ms;
  };
  for (const { place, segment } of changes) {
    waitUntil(segment.startMs);
    lines.push(...shape(place, segment));
  }
  const period = profile.timelinePeriodMs;
  if (period === null) return lines;
  waitUntil(period);
  for (const place of PLACES) lines.push(...shape(place, segmentsOf(profile, place.direction)[0]));
  return ["while :; do", ...lines.map((line) => `  ${line}`), "done"];
}

function percent(ratio: number): string {
  return `${Number((ratio * 100).toFixed(6))}%`;
}
