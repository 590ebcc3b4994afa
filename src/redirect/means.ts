import type { MeansKind } from "../guest/addresses.ts";
import type { RedirectSubject, Stage } from "./state.ts";

/** A redirect at the moment at which its means are told of it. */
export interface Target extends RedirectSubject {
  readonly site: string;
  readonly stage: Stage;
  /** The stage before it in this process; null for the first one after a start. */
  readonly previous: Stage | null;
  /** The addresses belong to this site: the machine comes home. */
  readonly isHome: boolean;
}

/** Packets of one address that were carried to and from the other site. */
export interface AddressTraffic {
  readonly ip: string;
  readonly toMachinePackets: number;
  readonly toMachineBytes: number;
  readonly fromMachinePackets: number;
  readonly fromMachineBytes: number;
}

/** What of a redirect has passed; null where nobody counts. */
export interface Traffic {
  readonly addresses: readonly AddressTraffic[];
  /** Packets that waited for the machine while it stood still, and those for which there was no room. */
  readonly keptPackets: number;
  readonly keptBytes: number;
  readonly droppedPackets: number;
}

/** A value of one means in the ledger of its redirect. */
export interface MeansMemory {
  /** The last one that was written; null: none. */
  read(): unknown;
  /** Durable when it returns. @throws {GatewayError} `ledger_write_failed` */
  write(value: Record<string, unknown>): void;
}

/**
 * One way to make addresses follow their machine, at one end of one move. `means_suite.ts` of the
 * tests says what all of them promise.
 */
export interface Means {
  readonly kind: MeansKind;
  /** Before anything is prepared. @throws {GatewayError} `redirect_failed`: what this site lacks */
  check(target: Target): Promise<void>;
  /**
   * Makes this site's part what the target's stage says, whatever was there before: another stage,
   * half of one (a crash), or the same. In `bound` and `retired` nothing of it is left.
   *
   * @returns what the operator should read of it, if anything
   * @throws {GatewayError} `redirect_failed`; it is called again
   */
  apply(target: Target): Promise<string | void>;
  /**
   * Of `redirecting` at the old site, what can be done while the machine still runs there and is
   * reached as before; without it all is done inside the pause.
   */
  arm?(target: Target): Promise<void>;
  /** What `apply` would do, as commands or in words: a dry run. */
  commands(target: Target): readonly string[];
  /** What it has carried so far; null for a means that carries nothing, or cannot count. */
  traffic(): Promise<Traffic | null>;
  /** What it must know after a restart, of this redirect alone; given before anything else is called. */
  useMemory?(memory: MeansMemory): void;
  /** Calls `listener` when what was applied is gone by itself; `apply` is called then. */
  onBroken?(listener: (problem: string) => void): void;
  /** The gateway stops: lets go of what belongs to its process, and undoes nothing else. */
  letGo(): Promise<void>;
}

/** True in the stages in which packets are led to the other site. */
export function isRedirected(stage: Stage): boolean {
  return stage === "redirecting" || stage === "draining";
}
