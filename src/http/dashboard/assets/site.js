import { ApiError, ask, reportsOf } from "./api.js";
import { addReport, newSeries } from "./series.js";

const TOKEN_KEY = "causeway.token";
const POLL_MS = 3000;
/** Reports of all moves there ever were may be many MB. */
const WHOLE_MS = 60_000;
const RETRY_MS = 1000;
/** A browser opens six connections to one address; the lists need one as well. */
const STREAMS_MAX = 3;
export const ENDED = ["completed", "failed", "cancelled", "rolledBack", "seeded"];
const ROLES = ["read", "operate", "admin"];

const NOTHING = {
  token: null,
  site: null,
  role: null,
  status: null,
  guests: [],
  peers: [],
  redirects: [],
  moves: new Map(),
  series: new Map(),
  /** Why the log-in is shown again. */
  refusal: null,
  isReachable: true,
  isLoaded: false,
};

/**
 * What the page knows of its site: lists that are asked for every few seconds, and the moves that
 * are under way, which are streamed. `changed` is called after each change.
 */
export class Site {
  state = NOTHING;
  #shownMove = null;
  #wholeAtMs = -Infinity;
  #changed;
  #timer = 0;
  #streams = new Map();
  #session = new AbortController();

  constructor(changed) {
    this.#changed = changed;
    addEventListener("visibilitychange", () => document.hidden || this.refresh());
  }

  /** Goes on with the token of this tab, if there is one. */
  async resume() {
    const token = sessionStorage.getItem(TOKEN_KEY);
    if (token !== null) await this.logIn(token).catch((error) => this.#end(error.message));
  }

  /** @throws {ApiError} where the token is refused */
  async logIn(token) {
    await ask(token, "GET", "/v1/peers");
    const { site, role, status } = await ask(token, "GET", "/healthz");
    sessionStorage.setItem(TOKEN_KEY, token);
    this.#session = new AbortController();
    this.#wholeAtMs = -Infinity;
    this.#set({ ...NOTHING, moves: new Map(), series: new Map(), token, site, role, status });
    await this.refresh();
  }

  logOut() {
    this.#end(null);
  }

  /** True when the token's role is `needed` or more. */
  may(needed) {
    return ROLES.indexOf(this.state.role) >= ROLES.indexOf(needed);
  }

  /** The move that is looked at is streamed before any other, whether it has ended or not. */
  show(id) {
    this.#shownMove = id;
    this.#syncStreams();
  }

  /** A request with the session's token; the lists are asked for again after it. */
  async act(method, path, body, signal) {
    try {
      const answer = await ask(this.state.token, method, path, body, signal);
      if (answer?.wireBytes !== undefined) this.#take(answer);
      return answer;
    } catch (error) {
      if (error instanceof ApiError && error.isRefusal) this.#end(error.message);
      throw error;
    } finally {
      if (this.state.token !== null && path !== "/v1/plan") void this.refresh();
    }
  }

  async refresh() {
    const { token } = this.state;
    const { signal } = this.#session;
    if (token === null) return;
    clearTimeout(this.#timer);
    const get = (path) => ask(token, "GET", path, undefined, signal);
    try {
      const isWhole = Date.now() - this.#wholeAtMs > WHOLE_MS;
      const [guests, peers, redirects, { status }, whole] = await Promise.all([
        get("/v1/guests"),
        get("/v1/peers"),
        get("/v1/redirects"),
        get("/healthz"),
        isWhole ? get("/v1/migrations") : [],
      ]);
      const single = isWhole ? [] : await Promise.all(
        this.#askedSingly(guests).map((id) =>
          get(`/v1/migrations/${encodeURIComponent(id)}`).catch(() => null)
        ),
      );
      if (signal.aborted) return;
      if (isWhole) this.#wholeAtMs = Date.now();
      const moves = new Map(this.state.moves);
      for (const report of [...whole, ...single]) {
        if (report !== null) moves.set(report.id, this.#newer(report));
      }
      this.#set({ guests, peers, redirects, moves, status, isReachable: true, isLoaded: true });
      this.#syncStreams();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.isRefusal) return this.#end(error.message);
      this.#set({ isReachable: false });
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => document.hidden || this.refresh(), POLL_MS);
  }

  /** Moves that may have changed and are not streamed; one that began elsewhere is known by its guest. */
  #askedSingly(guests) {
    const known = [...this.state.moves.values()];
    const changing = known.filter(({ id, state }) =>
      id === this.#shownMove || !ENDED.includes(state)
    );
    const ids = [...guests.map(({ migration }) => migration), ...changing.map(({ id }) => id)];
    return [...new Set(ids)].filter((id) => id !== null && !this.#streams.has(id));
  }

  #newer(report) {
    // A list that was on its way while a stream told of the end.
    const known = this.state.moves.get(report.id);
    return known && this.#streams.has(report.id) && !ENDED.includes(report.state) ? known : report;
  }

  #set(changes) {
    this.state = { ...this.state, ...changes };
    this.#changed();
  }

  #end(refusal) {
    this.#session.abort();
    clearTimeout(this.#timer);
    this.#streams.clear();
    sessionStorage.removeItem(TOKEN_KEY);
    this.#set({ ...NOTHING, moves: new Map(), series: new Map(), refusal });
  }

  #take(report) {
    const { moves, series } = this.state;
    moves.set(report.id, report);
    if (!series.has(report.id)) series.set(report.id, newSeries());
    addReport(series.get(report.id), report, Date.now());
    this.#changed();
  }

  #syncStreams() {
    if (this.state.token === null) return;
    const open = [...this.state.moves.values()].filter(({ state }) => !ENDED.includes(state))
      .map(({ id }) => id).reverse();
    const shown = open.filter((id) => id === this.#shownMove);
    const wanted = [...new Set([...shown, ...open])].slice(0, STREAMS_MAX);
    for (const [id, stream] of this.#streams) {
      if (wanted.includes(id)) continue;
      stream.abort();
      this.#streams.delete(id);
    }
    for (const id of wanted) {
      if (this.#streams.has(id)) continue;
      const stream = new AbortController();
      this.#streams.set(id, stream);
      void this.#follow(id, AbortSignal.any([stream.signal, this.#session.signal]))
        .finally(() => this.#streams.get(id) === stream && this.#streams.delete(id));
    }
  }

  /** Until the move has ended; a stream that broke is begun again. */
  async #follow(id, signal) {
    while (!signal.aborted) {
      try {
        for await (const report of reportsOf(this.state.token, id, signal)) {
          if (signal.aborted) return;
          this.#take(report);
          if (ENDED.includes(report.state)) return void this.refresh();
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.isRefusal) return this.#end(error.message);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
