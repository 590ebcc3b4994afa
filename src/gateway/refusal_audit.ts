import type { Clock } from "../core/clock.ts";

/** One refusal is written down once in this time, with how often it was seen since. */
const AUDIT_PERIOD_MS = 60_000;
/** Refusals that are remembered to be counted; a flood of different ones pushes the oldest out. */
const REMEMBERED_MAX = 256;
/** Entries in this time; whoever can choose an address for each try writes no more of them. */
export const AUDIT_ENTRIES_MAX = 60;

export interface Refusal {
  /** `HOST:PORT`, or whatever is known of the other side. */
  readonly remote: string;
  readonly code: string;
  readonly message: string;
}

/**
 * Writes refused contacts to the audit, by peers (`link_refused`) or by clients of the API. A peer that is not trusted yet dials every 5 s with five
 * connections: 86 000 entries a day that all say the same would bury everything else.
 */
export class RefusalAudit {
  readonly #seen = new Map<string, { auditedAtMs: number; count: number }>();

  #periodAtMs = -Infinity;
  #written = 0;
  /** Not written because there were too many, since the last entry. */
  #unwritten = 0;

  constructor(
    private readonly clock: Clock,
    private readonly audit: (kind: string, body: Record<string, unknown>) => void,
    private readonly kind = "link_refused",
  ) {}

  add(refusal: Refusal): void {
    const nowMs = this.clock.nowMs();
    // Each connection comes from a port of its own: the host is who it is.
    const host = refusal.remote.replace(/:\d+$/, "");
    const key = JSON.stringify([host, refusal.code, refusal.message]);
    const seen = this.#seen.get(key);
    if (seen && nowMs - seen.auditedAtMs < AUDIT_PERIOD_MS) {
      seen.count++;
      return;
    }
    if (!this.#mayWrite(nowMs)) {
      this.#unwritten++;
      return;
    }
    this.#seen.delete(key);
    this.#seen.set(key, { auditedAtMs: nowMs, count: 0 });
    if (this.#seen.size > REMEMBERED_MAX) this.#seen.delete(this.#seen.keys().next().value!);
    const repeated = seen === undefined || seen.count === 0 ? {} : { repeated: seen.count };
    const unwritten = this.#unwritten === 0 ? {} : { unwritten: this.#unwritten };
    this.#unwritten = 0;
    this.audit(this.kind, { ...refusal, ...repeated, ...unwritten });
  }

  #mayWrite(nowMs: number): boolean {
    if (nowMs - this.#periodAtMs >= AUDIT_PERIOD_MS) {
      this.#periodAtMs = nowMs;
      this.#written = 0;
    }
    return this.#written++ < AUDIT_ENTRIES_MAX;
  }
}
