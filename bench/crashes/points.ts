import type { MigrationReport } from "../../src/migration/report.ts";
import type { KillableSites, WatchedQemu } from "../../tests/e2e/support/killable_sites.ts";
import { inWrite } from "./stuck.ts";

/** Who is killed. */
export type Victim = "gateway a" | "gateway b" | "both gateways" | "QEMU a" | "QEMU b";

/** Where in a move, and who. */
export interface CrashPoint {
  readonly name: string;
  readonly victim: Victim;
  /** Options of the move. */
  readonly options?: Record<string, unknown>;
  /** The write of this decision is under way, and is not done, when the victim dies. */
  readonly write?: { readonly site: "a" | "b"; readonly kind: string };
  /** Otherwise: resolves when the point is reached. Prepared before the move begins. */
  readonly reached?: (sites: KillableSites, destination: WatchedQemu) => Reached;
}

type Reached = (id: string) => Promise<unknown>;

/** Slow enough to act in the middle of the disk, bytes per second. */
const SLOW = 2_000_000;

const report =
  (fits: (report: MigrationReport) => boolean) => (sites: KillableSites): Reached => (id) =>
    sites.until("a", id, fits);
const copying = report(({ wireBytes }) => wireBytes.disk > SLOW);
const memory = report(({ wireBytes }) => wireBytes.memory > 1_000_000);
const holding = report(({ state }) => state === "holding");
const preSwitchover = ({ machine }: KillableSites): Reached => {
  const reached = machine.reaches("pre-switchover");
  return () => reached;
};
const device = (sites: KillableSites): Reached => {
  const gate = sites.machine.reaches("pre-switchover");
  return async () => {
    await gate;
    // Stopped, it leaves QEMU in this state: nobody reads the device state or answers it.
    sites.a.kill("SIGSTOP");
    const reached = sites.machine.reaches("device");
    await sites.machine.monitor.execute("migrate-continue", { state: "pre-switchover" });
    await reached;
  };
};
const running = ({ machine }: KillableSites, destination: WatchedQemu): Reached => async () => {
  void machine;
  while (await destination.status().catch(() => "gone") !== "running") {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

/** The disk itself crosses each time: the site's store has it from the points before. */
const slow = { rate: SLOW, disable: ["duplicate"] };
const hold = { hold: true };
const decisions = (site: "a" | "b", kinds: readonly string[]): CrashPoint[] =>
  kinds.map((kind) => ({
    name: `${site} writes ${kind}`,
    victim: `gateway ${site}`,
    write: { site, kind },
  }));

/** Every point of the table, those after which the machine stays at the source first. */
export const POINTS: readonly CrashPoint[] = [
  { name: "disk is copied", victim: "gateway a", options: slow, reached: copying },
  { name: "disk is copied", victim: "gateway b", options: slow, reached: copying },
  { name: "disk is copied", victim: "both gateways", options: slow, reached: copying },
  { name: "disk is copied", victim: "QEMU b", options: slow, reached: copying },
  { name: "memory is copied", victim: "gateway a", reached: memory },
  { name: "memory is copied", victim: "gateway b", reached: memory },
  { name: "memory is copied", victim: "QEMU b", reached: memory },
  { name: "holding", victim: "gateway a", options: hold, reached: holding },
  { name: "holding", victim: "gateway b", options: hold, reached: holding },
  { name: "holding", victim: "QEMU b", options: hold, reached: holding },
  { name: "pre-switchover", victim: "gateway a", reached: preSwitchover },
  { name: "pre-switchover", victim: "gateway b", reached: preSwitchover },
  { name: "pre-switchover", victim: "QEMU b", reached: preSwitchover },
  { name: "device", victim: "gateway a", reached: device },
  ...decisions("a", ["created", "began", "noted", "switchBegan", "paused", "handoverWritten"]),
  ...decisions("b", ["created", "prepared", "roundRecorded", "handoverReceived", "owned"]),
  {
    name: "b writes owned",
    victim: "both gateways",
    write: { site: "b", kind: "owned" },
  },
  { name: "b writes owned", victim: "QEMU b", write: { site: "b", kind: "owned" } },
  ...decisions("b", ["started"]),
  ...decisions("a", ["ranAtPeer", "retired"]),
  { name: "running at b", victim: "gateway b", reached: running },
  { name: "disk is copied", victim: "QEMU a", options: slow, reached: copying },
];

/** Prepares a point. @returns resolves when it is reached, and what undoes the preparation */
export function prepare(
  point: CrashPoint,
  sites: KillableSites,
  destination: WatchedQemu,
): { reached: Reached; undo: () => void } {
  if (point.write) return inWrite(sites, point.write.site, point.write.kind);
  return { reached: point.reached!(sites, destination), undo: () => {} };
}
