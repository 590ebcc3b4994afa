import type { WanProfile } from "../../emulator/settings.ts";
import type { MigrationReport, SavedBytes } from "../../migration/report.ts";
import { formatBytes, formatDuration, formatRate } from "../format.ts";
import type { Verdict } from "./machine.ts";

/** What the demo has measured. */
export interface DemoResult {
  readonly report: MigrationReport;
  readonly verdict: Verdict | null;
  readonly plainCopyBytes: number;
  /** IP packets in both directions, as the emulator counted them at the bottleneck. */
  readonly networkBytes: number;
  readonly profile: WanProfile;
}

/** What is known of a demo that did not come to its end. */
export interface UnfinishedDemo {
  /** A report of the move, if it had begun; its last one where it has ended. */
  readonly report: MigrationReport | null;
  readonly plainCopyBytes: number | null;
  readonly profileName: string;
  /** Why; null when it was interrupted. */
  readonly error: { code: string; message: string; hint: string } | null;
}

/** The last line of `demo --json` then: the same fields, as far as they are known. */
export function unfinishedJson({ report, plainCopyBytes, profileName, error }: UnfinishedDemo) {
  return {
    ...report,
    verified: false,
    verification: null,
    plainCopyBytes,
    networkBytes: null,
    profile: profileName,
    error: error ?? report?.error ?? null,
  };
}

/** The last line of `demo --json`: the migration, and what the demo adds. */
export function demoJson({ report, verdict, plainCopyBytes, networkBytes, profile }: DemoResult) {
  return {
    ...report,
    verified: verdict?.ok ?? false,
    verification: verdict?.text ?? null,
    plainCopyBytes,
    networkBytes,
    profile: profile.name,
  };
}

/** The end of the demo for people. */
export function demoLines(result: DemoResult): string[] {
  const { report, verdict, plainCopyBytes, networkBytes, profile } = result;
  const bytesPerSecond = profile.forward.rateBitsPerSecond / 8;
  const plainMs = plainCopyBytes / bytesPerSecond * 1_000;
  const share = Math.round(networkBytes / plainCopyBytes * 100);
  const rows: [string, string][] = [
    ["total time", report.totalMs === null ? "-" : formatDuration(report.totalMs)],
    [
      "downtime",
      report.downtimeMs === null
        ? "-"
        : `${formatDuration(report.downtimeMs)} (budget ${formatDuration(report.maxDowntimeMs)})`,
    ],
    ["plain copy", `${formatBytes(plainCopyBytes)}, at least ${formatDuration(plainMs)}`],
    ["on the wire", `${formatBytes(networkBytes)}, ${share} % of a plain copy (IP packets)`],
    ["not sent", savedText(report.savedBytes)],
    ["the machine", verdict?.text ?? "was not asked"],
  ];
  return rows.map(([name, text]) => `  ${name.padEnd(12)} ${text}`);
}

/** The link in a few words. */
export function profileText({ name, forward }: WanProfile): string {
  const loss = forward.lossRatio > 0 ? `, ${forward.lossRatio * 100} % loss` : "";
  return `${name} (${formatRate(forward.rateBitsPerSecond / 8)}, ${forward.delayMs} ms each way` +
    `${loss})`;
}

function savedText(saved: SavedBytes): string {
  const parts = Object.entries(saved).filter(([, bytes]) => bytes > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, bytes]) => `${formatBytes(bytes)} ${kind}`);
  return parts.join(", ") || "-";
}
