import type { Clock } from "../../core/clock.ts";
import type { ApiClient } from "../client.ts";

/** Which end of the move. */
export type Side = "source" | "incoming";

/** The machine that the demo moves. */
export interface DemoMachine {
  /** What it is, in a few words. */
  readonly title: string;
  /** Memory and disks: what a plain copy sends. */
  readonly plainCopyBytes: number;
  /** For `PUT /v1/guests/{id}` at that end. */
  definition(side: Side): unknown;
  /** Resolves when it is up and busy at the source. */
  whenBusy(signal: AbortSignal): Promise<void>;
  /** Has the machine check itself where it is now. */
  verify(destination: ApiClient): Promise<Verdict>;
}

/** What the machine found when it checked itself. */
export interface Verdict {
  readonly ok: boolean;
  /** For people. */
  readonly text: string;
}

/** What a machine is made from: a directory for each end, and the clock. */
export interface MachineSetting {
  readonly id: string;
  readonly directories: Readonly<Record<Side, string>>;
  readonly clock: Clock;
}
