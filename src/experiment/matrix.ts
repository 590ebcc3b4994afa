import type {
  FaultLine,
  Guest,
  ProfileChoice,
  Scenario,
  Selection,
  Strategy,
  Workload,
} from "./schema.ts";

/** One run of the matrix. */
export interface Cell {
  /** Place in the order of running, from 0. */
  readonly index: number;
  /** Names of everything that it is made of; the same in every run of the scenario. */
  readonly id: string;
  readonly profile: ProfileChoice;
  readonly guest: Guest;
  readonly workload: Workload;
  readonly strategy: Strategy;
  readonly faults: FaultLine;
  readonly seed: number;
  /** From 1. */
  readonly repetition: number;
}

/** Names by which rows are grouped. */
export interface CellNames {
  readonly profile: string;
  readonly guest: string;
  readonly workload: string;
  readonly strategy: string;
  readonly faults: string;
}

/**
 * Every cell in the order of running: strategies innermost, so that those that are compared run one
 * after the other; repetitions outermost, so that whatever drifts meets all of them alike.
 */
export function cellsOf({ matrix, leaveOut }: Scenario): Cell[] {
  const cells: Cell[] = [];
  for (let repetition = 1; repetition <= matrix.repetitions; repetition++) {
    for (const seed of matrix.seeds) {
      for (const profile of matrix.profiles) {
        for (const guest of matrix.guests) {
          for (const workload of matrix.workloads) {
            for (const faults of matrix.faults) {
              for (const strategy of matrix.strategies) {
                const parts = { profile, guest, workload, strategy, faults, seed, repetition };
                const names = namesOf(parts);
                if (leaveOut.some((selection) => selects(selection, names))) continue;
                cells.push({ index: cells.length, id: cellId(names, seed, repetition), ...parts });
              }
            }
          }
        }
      }
    }
  }
  return cells;
}

/** The names of what a cell is made of. */
export function namesOf(cell: Omit<Cell, "index" | "id">): CellNames {
  return {
    profile: profileName(cell.profile),
    guest: cell.guest.name,
    workload: cell.workload.name,
    strategy: cell.strategy.name,
    faults: cell.faults.name,
  };
}

export function profileName(profile: ProfileChoice): string {
  if (typeof profile !== "string") return profile.name;
  return profile.replace(/^.*\//, "").replace(/\.json$/, "");
}

/** Repetitions and seeds of one thing have the same key. */
export function groupKey({ profile, guest, workload, strategy, faults }: CellNames): string {
  return [profile, guest, workload, faults, strategy].join("/");
}

/** Groups that differ in the strategy alone have the same key: they are compared. */
export function settingKey({ profile, guest, workload, faults }: CellNames): string {
  return [profile, guest, workload, faults].join("/");
}

/** True where everything that the selection names is what the cell has. */
export function selects(selection: Selection, names: CellNames): boolean {
  return Object.entries(selection).every(([field, value]) =>
    value === undefined || names[field as keyof CellNames] === value
  );
}

function cellId(names: CellNames, seed: number, repetition: number): string {
  return `${groupKey(names)}/s${seed}/r${repetition}`;
}
