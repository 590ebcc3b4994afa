import type { PeerView } from "../gateway/service.ts";
import { ENDED_STATES, MIGRATION_STATES, type MigrationReport } from "../migration/report.ts";

/** What the gateway's process uses, as the runtime tells it. */
export interface ProcessFigures {
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly cpuSeconds: number;
  readonly startedAtSeconds: number;
}

/** What a scrape is rendered from. */
export interface MetricsInput {
  readonly migrations: readonly MigrationReport[];
  readonly peers: readonly PeerView[];
  readonly process: ProcessFigures;
}

/** Ended migrations that keep series of their own: enough for a scrape to see each one end. */
const ENDED_SHOWN_MAX = 20;

type Sample = readonly [labels: Record<string, string>, value: number | null];

/**
 * All figures in the Prometheus text format 0.0.4. Durations are seconds, ratios 0 to 1; what is
 * unknown has no sample.
 */
export function renderMetrics({ migrations, peers, process }: MetricsInput): string {
  const shown = withRecentlyEnded(migrations);
  const each = (value: (report: MigrationReport) => number | null): Sample[] =>
    shown.map((report) => [labelsOf(report), value(report)]);
  const seconds = (ms: number | null) => ms === null ? null : ms / 1000;
  const perPeer = (value: (peer: PeerView) => number | null): Sample[] =>
    peers.map((peer) => [{ peer: peer.name }, value(peer)]);
  return [
    family("causeway_migrations", "gauge", "Migrations of this site by state.", [
      ...MIGRATION_STATES.map((state): Sample => [
        { state },
        migrations.filter((report) => report.state === state).length,
      ]),
    ]),
    family(
      "causeway_wire_bytes_total",
      "counter",
      "Bytes handed to the carrier by the migrations of this site, both directions.",
      (["memory", "disk", "control"] as const).map((channel): Sample => [
        { channel },
        migrations.reduce((sum, { wireBytes }) => sum + wireBytes[channel], 0),
      ]),
    ),
    family(
      "causeway_migration_wire_bytes_total",
      "counter",
      "Bytes handed to the carrier by one migration.",
      each(({ wireBytes }) => wireBytes.total),
    ),
    family(
      "causeway_migration_remaining_bytes",
      "gauge",
      "Memory and disk bytes that still must cross.",
      each(remainingBytes),
    ),
    family(
      "causeway_migration_progress_ratio",
      "gauge",
      "Share of the bytes that have crossed.",
      each(({ progress }) => progress),
    ),
    family(
      "causeway_migration_memory_dirty_bytes_per_second",
      "gauge",
      "Memory that the machine writes.",
      each(({ memory }) => memory.dirtyBytesPerSecond),
    ),
    family(
      "causeway_migration_downtime_seconds",
      "gauge",
      "From the pause at the source to the machine running at the destination.",
      each(({ downtimeMs }) => seconds(downtimeMs)),
    ),
    family(
      "causeway_migration_forecast_downtime_seconds",
      "gauge",
      "The pause that a switch would mean now.",
      each(({ forecast }) => seconds(forecast?.downtimeMs ?? null)),
    ),
    family(
      "causeway_migration_question_open",
      "gauge",
      "1 while the migration asks its operator something.",
      each(({ question }) => question === null ? 0 : 1),
    ),
    family(
      "causeway_migration_duration_seconds",
      "gauge",
      "From the start to the end, or to now.",
      each(({ totalMs }) => seconds(totalMs)),
    ),
    family(
      "causeway_link_up",
      "gauge",
      "1 while a connection to the peer exists.",
      perPeer(({ state }) => state === "up" ? 1 : 0),
    ),
    family(
      "causeway_link_round_trip_seconds",
      "gauge",
      "Present round trip to the peer.",
      perPeer(({ path }) => seconds(path.roundTripMs)),
    ),
    family(
      "causeway_link_goodput_bytes_per_second",
      "gauge",
      "Payload delivered to the peer over the last second or so.",
      perPeer(({ path }) => path.goodputBytesPerSecond),
    ),
    family(
      "causeway_link_bottleneck_bytes_per_second",
      "gauge",
      "Estimate of what the way to the peer can carry.",
      perPeer(({ path }) => path.bottleneckBytesPerSecond),
    ),
    family(
      "causeway_link_loss_ratio",
      "gauge",
      "Share of packets lost on the way to the peer.",
      perPeer(({ path }) => path.lossRatio),
    ),
    family(
      "causeway_link_queue_seconds",
      "gauge",
      "Queueing delay on the way to the peer, above the least of the last minutes.",
      perPeer(({ path }) => seconds(path.queueMs)),
    ),
    family(
      "causeway_link_jitter_seconds",
      "gauge",
      "Mean deviation of the delay on the way to the peer.",
      perPeer(({ path }) => seconds(path.jitterMs)),
    ),
    family(
      "causeway_link_resent_bytes_total",
      "counter",
      "Payload bytes sent again to the peer, because a connection was lost or fell silent.",
      perPeer(({ resentBytes }) => resentBytes),
    ),
    family(
      "causeway_link_clock_offset_seconds",
      "gauge",
      "The peer's wall clock less this site's.",
      perPeer(({ clockOffsetMs }) => seconds(clockOffsetMs)),
    ),
    family("process_resident_memory_bytes", "gauge", "Memory of this process.", [
      [{}, process.residentBytes],
    ]),
    family("process_heap_bytes", "gauge", "Script memory in use.", [[{}, process.heapBytes]]),
    family("process_cpu_seconds_total", "counter", "CPU time of this process.", [
      [{}, process.cpuSeconds],
    ]),
    family("process_start_time_seconds", "gauge", "Start of this process, Unix time.", [
      [{}, process.startedAtSeconds],
    ]),
  ].join("");
}

function withRecentlyEnded(migrations: readonly MigrationReport[]): MigrationReport[] {
  const hasEnded = ({ state }: MigrationReport) => ENDED_STATES.includes(state);
  const ended = migrations.filter(hasEnded)
    .sort((a, b) => (a.endedAt ?? "") < (b.endedAt ?? "") ? -1 : 1)
    .slice(-ENDED_SHOWN_MAX);
  return [...migrations.filter((report) => !hasEnded(report)), ...ended];
}

function labelsOf({ id, guest, side }: MigrationReport): Record<string, string> {
  return { migration: id, guest, side };
}

function remainingBytes({ memory, disks }: MigrationReport): number | null {
  const parts = [memory.remainingBytes, ...disks.map((disk) => disk.remainingBytes)];
  const known = parts.filter((part) => part !== null);
  return known.length === 0 ? null : known.reduce((sum, part) => sum + part, 0);
}

function family(name: string, type: string, help: string, samples: readonly Sample[]): string {
  const lines = samples.flatMap(([labels, value]) =>
    value === null ? [] : [`${name}${labelText(labels)} ${value}\n`]
  );
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function labelText(labels: Record<string, string>): string {
  const entries = Object.entries(labels);
  if (entries.length === 0) return "";
  return `{${entries.map(([key, value]) => `${key}="${escapeLabel(value)}"`).join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
