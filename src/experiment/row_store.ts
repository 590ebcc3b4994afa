import { GatewayError } from "../core/errors.ts";
import type { Row } from "./row.ts";
import type { Scenario } from "./schema.ts";

const ROWS = "rows.jsonl";
const MANIFEST = "experiment.json";

/** What a folder of results begins with. */
export interface Manifest {
  readonly scenario: Scenario;
  readonly startedAt: string;
}

/**
 * The rows of one experiment in a folder: a line each, on disk before the next cell begins. A line
 * that was cut short by a crash is dropped, and its cell runs again.
 */
export class RowStore implements Disposable {
  private constructor(
    readonly directory: string,
    readonly manifest: Manifest,
    private readonly file: Deno.FsFile,
    private readonly known: Row[],
  ) {}

  /**
   * Opens a folder, or makes it.
   *
   * @param startedAt for a new one
   * @throws {GatewayError} `experiment_differs` where it belongs to another scenario,
   *   `experiment_running` while somebody else has it open
   */
  static async open(directory: string, scenario: Scenario, startedAt: string): Promise<RowStore> {
    await Deno.mkdir(directory, { recursive: true });
    const manifest = await openManifest(directory, { scenario, startedAt });
    const path = `${directory}/${ROWS}`;
    const file = await Deno.open(path, { create: true, write: true });
    try {
      if (!await file.tryLock(true)) {
        throw new GatewayError(
          "experiment_running",
          `Cannot run into ${directory}: another process does`,
          { hint: "Wait for it, or give another folder as --out" },
        );
      }
      const { rows, wholeBytes } = await readRowFile(path);
      await file.truncate(wholeBytes);
      await file.seek(0, Deno.SeekMode.End);
      return new RowStore(directory, manifest, file, rows);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** In the order in which they were made. */
  get rows(): readonly Row[] {
    return this.known;
  }

  /** Resolves when the row is on disk. */
  async append(row: Row): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify(row) + "\n");
    for (let at = 0; at < bytes.length;) at += await this.file.write(bytes.subarray(at));
    await this.file.syncData();
    this.known.push(row);
  }

  /** Leaves only these rows. */
  async keep(isKept: (row: Row) => boolean): Promise<void> {
    const kept = this.known.filter(isKept);
    if (kept.length === this.known.length) return;
    const text = kept.map((row) => JSON.stringify(row) + "\n").join("");
    await this.file.truncate(0);
    await this.file.seek(0, Deno.SeekMode.Start);
    this.known.length = 0;
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await this.file.write(bytes.subarray(at));
    await this.file.syncData();
    this.known.push(...kept);
  }

  [Symbol.dispose](): void {
    this.file.close();
  }
}

/**
 * Manifest and rows of a folder that an experiment has written.
 *
 * @throws {GatewayError} `scenario_invalid` where it is none
 */
export async function readResults(
  directory: string,
): Promise<{ manifest: Manifest; rows: Row[] }> {
  const manifest = await readManifest(directory);
  if (manifest === null) {
    throw new GatewayError(
      "scenario_invalid",
      `Cannot read the results in ${directory}: it has no ${MANIFEST}`,
      { hint: "Give the folder that was --out of an experiment" },
    );
  }
  return { manifest, rows: (await readRowFile(`${directory}/${ROWS}`)).rows };
}

async function openManifest(directory: string, fresh: Manifest): Promise<Manifest> {
  const found = await readManifest(directory);
  if (found === null) {
    // Beside and renamed, so that a crash leaves none rather than half of one.
    const path = `${directory}/${MANIFEST}`;
    await Deno.writeTextFile(`${path}.new`, JSON.stringify(fresh, null, 1) + "\n");
    await Deno.rename(`${path}.new`, path);
    return fresh;
  }
  if (JSON.stringify(found.scenario) === JSON.stringify(fresh.scenario)) return found;
  throw new GatewayError(
    "experiment_differs",
    `Cannot continue in ${directory}: it holds rows of ` +
      (found.scenario.name === fresh.scenario.name
        ? "an earlier form of this scenario"
        : `the scenario ${found.scenario.name}`),
    { hint: "Give another folder as --out, or delete this one" },
  );
}

async function readManifest(directory: string): Promise<Manifest | null> {
  try {
    return JSON.parse(await Deno.readTextFile(`${directory}/${MANIFEST}`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

async function readRowFile(path: string): Promise<{ rows: Row[]; wholeBytes: number }> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { rows: [], wholeBytes: 0 };
    throw error;
  }
  const wholeBytes = bytes.lastIndexOf("\n".charCodeAt(0)) + 1;
  const lines = new TextDecoder().decode(bytes.subarray(0, wholeBytes)).split("\n").slice(0, -1);
  return { rows: lines.map((line) => JSON.parse(line) as Row), wholeBytes };
}
