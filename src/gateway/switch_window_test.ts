import assert from "node:assert/strict";
import { requireOpen } from "./switch_window.ts";

const NOW = Date.parse("2026-03-01T12:00:00Z");

Deno.test("requireOpen() refuses a window that has closed, in whatever zone it is given", () => {
  const from = "2026-02-01T00:00:00Z";
  requireOpen(null, NOW);
  requireOpen({ from, until: null }, NOW);
  requireOpen({ from, until: "2026-03-01T12:00:00.001Z" }, NOW);
  requireOpen({ from, until: "2026-03-01T11:30:00-01:00" }, NOW);
  for (const until of ["2026-03-01T12:00:00Z", "2026-03-01T12:30:00+01:00"]) {
    assert.throws(() => requireOpen({ from, until }, NOW), {
      code: "request_invalid",
      message: `Cannot wait for this window: it closed at ${until}`,
    });
  }
});
