/**
 * SIGKILL of either gateway in each state of the ledger: how long until the restarted one has made
 * its site what the state says, until packets reach the machine again, and what is left in the end.
 */
import { ENDED_STATES } from "../../src/migration/report.ts";
import { startEchoProbe } from "../../src/testing/echo_probe/probe.ts";
import { MACHINE, RedirectWorld, type SiteName } from "../../src/testing/redirect_world.ts";

export interface Killed {
  /** That the ledger was to be in when the kill came. */
  readonly state: string;
  readonly who: SiteName;
  /** States of the killed site's ledger from the kill on, by its history. */
  readonly then: string;
  /** From the `ready` line until its rules were seen to be what the ledger says. */
  readonly reconciledMs: number;
  /** The same from the start of the process. */
  readonly reconciledFromStartMs: number;
  /**
   * From the kill, and from the `ready` line, until the machine answered again; 0: it never stopped.
   * Null once retired: the old site leads nothing there any more.
   */
  readonly silentMs: number | null;
  readonly silentAfterReadyMs: number | null;
  readonly move: string;
  readonly machineAt: string;
  /** Sites at which something was left that had not been there before. */
  readonly leftovers: string;
}

const ECHO_MS = 20;
const SETTLE_MS = 30_000;
const MOVE_MS_MAX = 90_000;
const DRAIN = { idleMs: 3_000, limitMs: 60_000 };
const SITES = ["a", "b"] as const;

/** One world for each state that ends a move, one for all that do not. */
export async function killed(profile: string, means: "tunnel" | "kernel"): Promise<Killed[]> {
  const rows: Killed[] = [];
  const say = (row: Killed) => {
    rows.push(row);
    console.log(
      `${profile}, ${means}: ${row.state}, ${row.who} killed: reconciled ${row.reconciledMs} ms ` +
        `after ready (${row.reconciledFromStartMs} ms after its start), ` +
        `silent ${row.silentMs ?? "-"} ms from the kill, ${
          row.silentAfterReadyMs ?? "-"
        } ms after ` +
        `ready; ${row.then}; move ${row.move}, ` +
        `machine at ${row.machineAt}, left over: ${row.leftovers || "nothing"}`,
    );
  };
  for (const who of SITES) {
    for (const state of ["prepared", "redirecting"] as const) {
      await using it = await Trial.start(profile, means);
      say(await it.kill(state, who));
    }
  }
  await using it = await Trial.start(profile, means);
  for (const state of ["draining", "retired"] as const) {
    for (const who of SITES) say(await it.kill(state, who));
  }
  return rows;
}

class Trial implements AsyncDisposable {
  #id: string | null = null;

  private constructor(
    private readonly world: RedirectWorld,
    private readonly before: Readonly<Record<typeof SITES[number], string>>,
  ) {}

  static async start(profile: string, means: "tunnel" | "kernel"): Promise<Trial> {
    const world = await RedirectWorld.start(profile, means);
    try {
      await world.boot(DRAIN);
      return new Trial(world, { a: await world.look("a"), b: await world.look("b") });
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  async kill(
    state: "prepared" | "redirecting" | "draining" | "retired",
    who: typeof SITES[number],
  ) {
    const { world } = this;
    await using probe = startEchoProbe(world.client, MACHINE.ipv4, ECHO_MS);
    await pause(500);
    this.#id ??= await world.move("a", state === "prepared" ? { hold: true } : {});
    const id = this.#id;
    const reached = await this.#until(
      () => world.redirect(who, id),
      // The switch takes tenths of a second: it is not waited for that its rules stand.
      (view) => view?.state === state && (view.settled || state === "redirecting"),
      MOVE_MS_MAX,
      2,
    );
    if (state === "prepared") {
      for (const site of SITES) await this.world.untilRedirect(site, id, "prepared", MOVE_MS_MAX);
    }
    const known = reached!.history.length;
    await world.killGateway(who);
    const killedWallMs = Date.now();
    await world.startGateway(who);
    const readyWallMs = Date.now();
    const settled = await this.#until(
      () => world.redirect(who, id),
      (view) => view !== null && view.settled,
      SETTLE_MS,
    );
    const settledWallMs = Date.now();
    if (state === "prepared") await this.#cancel();
    const report = await this.#until(
      () => world.site("a").api.migration(id),
      (report) => report !== null && ENDED_STATES.includes(report.state),
      MOVE_MS_MAX,
    );
    // Packets first: the drain would be over before a silent one was heard.
    await pause(1_500);
    const { startedWallMs, sentAtMs, answeredAtMs } = await probe.finish();
    const killedAtMs = killedWallMs - startedWallMs;
    const readyAtMs = readyWallMs - startedWallMs;
    const lost = answeredAtMs.flatMap((atMs, n) =>
      sentAtMs[n] >= killedAtMs && (atMs === null || atMs - sentAtMs[n] > 200) ? [sentAtMs[n]] : []
    );
    const lastLost = lost.at(-1) ?? null;
    let leftovers = "";
    const isOver = state !== "draining";
    if (isOver) {
      for (const site of SITES) {
        const view = await this.#until(
          () => world.redirect(site, id),
          (view) => view !== null && /^(bound|retired)$/.test(view.state) && view.settled,
          SETTLE_MS + DRAIN.limitMs,
        );
        const look = await world.look(site);
        if (look === this.before[site]) continue;
        leftovers += `${site} (${view?.state}) `;
        console.error(`${site} before:\n${this.before[site]}\nafter:\n${look}`);
      }
    }
    return {
      state,
      who,
      then: settled!.history.slice(known).map(({ kind }) => kind).join(" ") || "the same",
      reconciledMs: Math.max(0, settledWallMs - readyWallMs),
      reconciledFromStartMs: settledWallMs - killedWallMs,
      silentMs: state === "retired"
        ? null
        : lastLost === null
        ? 0
        : Math.round(lastLost + ECHO_MS - killedAtMs),
      silentAfterReadyMs: state === "retired"
        ? null
        : lastLost === null
        ? 0
        : Math.max(0, Math.round(lastLost + ECHO_MS - readyAtMs)),
      move: report!.state,
      machineAt: `${report!.machine.site} (${report!.machine.runState})`,
      leftovers: isOver ? leftovers.trim() : "(drains)",
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }

  /** A held move that outlived the kill is ended by its operator. */
  async #cancel(): Promise<void> {
    const { api } = this.world.site("a");
    const { state } = await api.migration(this.#id!);
    if (ENDED_STATES.includes(state)) return;
    await api.call("POST", `/migrations/${this.#id}/cancel`).catch(() => {});
  }

  async #until<T>(
    look: () => Promise<T | null>,
    fits: (seen: T | null) => boolean,
    timeoutMs: number,
    stepMs = 50,
  ): Promise<T | null> {
    const deadlineMs = performance.now() + timeoutMs;
    let problem = "";
    for (;;) {
      const seen = await look().catch((error) => {
        problem = String(error);
        return null;
      });
      if (fits(seen)) return seen;
      if (performance.now() > deadlineMs) {
        const logs = SITES.map((site) => this.world.site(site).gateway.stderr).join("\n");
        throw new Error(
          `waited ${timeoutMs} ms in vain: ${problem} ${JSON.stringify(seen)}\n${logs}`,
        );
      }
      await pause(stepMs);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
