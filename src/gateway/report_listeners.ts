import type { MigrationReport } from "../migration/report.ts";

/** Everybody who watches moves. None of them can end one: what a listener throws is only logged. */
export class ReportListeners {
  readonly #listeners = new Set<(report: MigrationReport) => void>();

  constructor(private readonly log: (level: "error", message: string) => void) {}

  /** @returns ends it */
  add(listener: (report: MigrationReport) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(report: MigrationReport): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(report);
      } catch (error) {
        this.log("error", `${report.id}: ${error instanceof Error ? error.stack : error}`);
      }
    }
  }
}
