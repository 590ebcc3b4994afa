import assert from "node:assert/strict";
import type { MigrationReport } from "../migration/report.ts";
import { ReportListeners } from "./report_listeners.ts";

Deno.test("ReportListeners: one that throws is logged, and the others hear all the same", () => {
  const log: string[] = [];
  const listeners = new ReportListeners((_, message) => log.push(message));
  const heard: string[] = [];
  listeners.add(() => {
    throw new Error("its stream is gone");
  });
  const stop = listeners.add(({ id }) => heard.push(id));
  listeners.tell({ id: "m" } as MigrationReport);
  stop();
  listeners.tell({ id: "n" } as MigrationReport);
  assert.deepEqual(heard, ["m"]);
  assert.match(log[0], /^m: Error: its stream is gone/);
});
