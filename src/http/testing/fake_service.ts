import { GatewayError } from "../../core/errors.ts";
import type { Plan, PlanRequest } from "../../gateway/plan/report.ts";
import type { GatewayService, GuestView, PeerView } from "../../gateway/service.ts";
import { guestDefinition } from "../../guest/definition.ts";
import type { Forecast } from "../../migration/control/action.ts";
import {
  type MigrationReport,
  noSavedBytes,
  nothingForeseen,
  type OpenQuestion,
} from "../../migration/report.ts";
import type { TokenRequest, TokenView } from "../../security/token_registry.ts";

/** A report as a running migration has it; `changes` on top. */
export function sampleReport(changes: Partial<MigrationReport> = {}): MigrationReport {
  return {
    id: "m-1",
    guest: "web",
    from: "west",
    to: "east",
    side: "source",
    strategy: "precopy",
    state: "copying",
    phase: "copying disks and memory",
    owner: "west",
    epoch: 1,
    machine: { site: "west", runState: "running" },
    startedAt: "2026-01-02T03:04:05.000Z",
    endedAt: null,
    totalMs: 2_000,
    downtimeMs: null,
    ...nothingForeseen(),
    maxDowntimeMs: 300,
    hold: false,
    rate: null,
    rateBytesPerSecond: null,
    weight: 100,
    priority: "normal",
    whenOver: ["wait"],
    window: null,
    progress: 0.25,
    etaMs: 6_000,
    memory: { totalBytes: 1_000, remainingBytes: 750, dirtyBytesPerSecond: 10 },
    disks: [{
      id: "disk0",
      totalBytes: 2_000,
      allocatedBytes: 1_000,
      remainingBytes: 50,
      verifiedBytes: 0,
    }],
    rounds: [],
    wireBytes: { memory: 100, disk: 200, control: 3, total: 303 },
    savedBytes: noSavedBytes(),
    decisions: [],
    findings: [],
    error: null,
    opaqueReason: null,
    opaqueBytes: 0,
    repairs: 0,
    leftovers: [],
    rollbackOf: null,
    ...changes,
  };
}

/** What a move asks whose machine writes too much. */
export function sampleQuestion(changes: Partial<OpenQuestion> = {}): OpenQuestion {
  return {
    kind: "budget",
    askedAt: "2026-01-02T03:04:06.000Z",
    wantedDowntimeMs: 900,
    text: "May web pause for 900 ms instead of 300? It writes 9 MB/s",
    ...changes,
  };
}

/** A pause that is over the budget of `sampleReport`. */
export function sampleForecast(changes: Partial<Forecast> = {}): Forecast {
  return {
    downtimeMs: 412,
    budgetedMs: 372,
    transferMs: 282,
    workMs: 90,
    pathMs: 40,
    wireBytes: 705_000,
    ...changes,
  };
}

/** A peer whose link is up. */
export function samplePeer(changes: Partial<PeerView> = {}): PeerView {
  return {
    name: "east",
    address: "192.0.2.1:7420",
    fingerprint: `sha256:${"0".repeat(64)}`,
    state: "up",
    carrier: {
      kind: "quic",
      reason: "UDP passes",
      since: "2026-01-02T03:04:05.678Z",
      congestionControl: null,
    },
    path: {
      roundTripMs: 80,
      minRoundTripMs: 79,
      bottleneckBytesPerSecond: 12_000_000,
      goodputBytesPerSecond: 11_000_000,
      lossRatio: 0.001,
      queueMs: 3,
      jitterMs: 1,
      silentMs: 4,
    },
    rate: null,
    rateBytesPerSecond: null,
    resentBytes: 0,
    clockOffsetMs: 12,
    lastError: null,
    ...changes,
  };
}

/** A forecast of which nothing is known. */
export function samplePlan(
  { guest, to }: Pick<PlanRequest, "guest" | "to">,
  changes: Partial<Plan> = {},
): Plan {
  return {
    guest,
    to,
    path: samplePeer().path,
    probe: null,
    sample: null,
    destination: null,
    findings: [],
    rate: { source: "assumed", bytesPerSecond: { low: 1_000, expected: 1_000, high: 1_000 } },
    strategies: [],
    changes: [],
    ...changes,
  };
}

/** A reference machine that runs. */
export function sampleGuest(id: string): GuestView {
  return {
    id,
    kind: "reference",
    role: "source",
    owner: "west",
    epoch: 1,
    runState: "running",
    description: null,
    definition: guestDefinition.parse({ kind: "reference", memoryMiB: 16 }),
    migration: null,
    history: [],
  };
}

/** A token that is good. */
export function sampleToken(changes: Partial<TokenView> = {}): TokenView {
  return {
    id: "t-1",
    name: "ada",
    role: "operate",
    state: "active",
    createdBy: "operator",
    createdAt: "2026-01-02T00:00:00.000Z",
    expiresAt: null,
    revokedAt: null,
    lastUsedAt: null,
    ...changes,
  };
}

/**
 * A gateway that does nothing but remember what it was asked: `calls` has every method with its
 * arguments. `overrides` replace methods; `publish` gives a report to whoever listens.
 */
export function fakeService(overrides: Partial<GatewayService> = {}) {
  const calls: [string, ...unknown[]][] = [];
  const listeners = new Set<(report: MigrationReport) => void>();
  const noted = <T>(name: string, answer: (...args: never[]) => T) => (...args: unknown[]) => {
    calls.push([name, ...args]);
    return answer(...args as never[]);
  };
  const acted = (name: string) => noted(name, () => Promise.resolve(sampleReport()));
  const service: GatewayService = {
    site: "west",
    putGuest: noted(
      "putGuest",
      (id: string) => Promise.resolve({ created: true, guest: sampleGuest(id) }),
    ),
    guest: noted("guest", (id: string) => Promise.resolve(sampleGuest(id))),
    guests: noted("guests", () => Promise.resolve([sampleGuest("web")])),
    deleteGuest: noted("deleteGuest", () => Promise.resolve()),
    verifyGuest: noted("verifyGuest", () => Promise.resolve({ ok: true, ticks: 7 })),
    peers: noted("peers", () => [samplePeer()]),
    redirects: noted("redirects", () => Promise.resolve([])),
    answerRedirect: noted("answerRedirect", () => Promise.resolve()),
    redirectCommands: noted("redirectCommands", () => []),
    startMigration: noted(
      "startMigration",
      () => Promise.resolve(sampleReport({ state: "preparing" })),
    ),
    migration: noted("migration", (id: string) => {
      if (id === "m-1") return sampleReport();
      throw new GatewayError("migration_unknown", `Cannot find migration ${id}`, { hint: "Look" });
    }),
    migrations: noted("migrations", () => [sampleReport()]),
    cancel: acted("cancel"),
    switchover: acted("switchover"),
    hold: acted("hold"),
    rollback: acted("rollback"),
    adjudicate: acted("adjudicate"),
    change: acted("change"),
    answer: acted("answer"),
    deleteLeftovers: noted("deleteLeftovers", () => Promise.resolve({ deleted: ["/disk"] })),
    onRedirect: () => () => {},
    onReport(_id, listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    setLinkRate: noted("setLinkRate", () => Promise.resolve()),
    plan: noted("plan", (request: PlanRequest) => Promise.resolve(samplePlan(request))),
    audit: noted(
      "audit",
      () => [{ number: 9, at: "2026-01-02T03:04:05.000Z", kind: "x", body: {} }],
    ),
    tokens: noted("tokens", () => [sampleToken()]),
    createToken: noted(
      "createToken",
      (request: TokenRequest) => ({ ...sampleToken(request), token: "the-text" }),
    ),
    revokeToken: noted(
      "revokeToken",
      () => sampleToken({ state: "revoked", revokedAt: "2026-01-03T00:00:00.000Z" }),
    ),
    health: noted(
      "health",
      () => ({ status: "ok" as const, checks: { "peer east": "up" } }),
    ),
    ...overrides,
  };
  return {
    service,
    calls,
    listeners,
    publish(report: MigrationReport) {
      for (const listener of listeners) listener(report);
    },
  };
}
