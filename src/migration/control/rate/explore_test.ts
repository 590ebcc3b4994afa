import assert from "node:assert/strict";
import { Exploration } from "./explore.ts";

const EVERY_MS = 100;

/** Looks for a while, with what arrives as a function of the time; when and how it came to an end. */
function explore(
  isCongested: (atMs: number) => boolean,
  applied: (atMs: number) => number,
  forMs = 30_000,
) {
  const exploration = new Exploration();
  for (let atMs = 0; atMs < forMs; atMs += EVERY_MS) {
    const look = exploration.look(atMs, isCongested(atMs), applied(atMs));
    if (look === "ended") return { look, atMs, exploration };
  }
  return { look: "goesOn", atMs: forMs, exploration };
}

Deno.test("a path without a queue is not explored, and a late packet is none", () => {
  const exploration = new Exploration();
  for (let atMs = 0; atMs < 1_000; atMs += EVERY_MS) {
    assert.equal(exploration.look(atMs, false, 1e5), "no");
  }
  for (let atMs = 1_000; atMs < 2_000; atMs += 2 * EVERY_MS) {
    assert.equal(exploration.look(atMs, true, 1e5), atMs < 1_800 ? "hold" : "no");
    assert.equal(exploration.look(atMs + EVERY_MS, false, 1e5), "no");
  }
});

Deno.test("a start beside a full queue goes on until no more arrives, and says so once", () => {
  const most = 10e6;
  const applied = (atMs: number) => Math.min(most, 50_000 * 2 ** (atMs / 600));
  const { look, atMs, exploration } = explore(() => true, applied);
  assert.equal(look, "ended");
  const reachedMs = 600 * Math.log2(most / 50_000);
  assert.ok(atMs > reachedMs && atMs < reachedMs + 2_000, `${atMs}, reached at ${reachedMs}`);
  assert.ok(exploration.bestBytesPerSecond > 0.9 * most);
  assert.equal(exploration.look(atMs + 100, true, most), "no");
});

Deno.test("a link that is slow to begin has three seconds, and one that never gets more ends", () => {
  const slow = explore(() => true, (atMs) => atMs < 2_500 ? 50_000 : 50_000 * 2 ** (atMs / 600));
  assert.ok(slow.atMs > 5_000, `${slow.atMs}`);
  const never = explore(() => true, () => 50_000);
  assert.ok(never.look === "ended" && never.atMs < 4_000, `${never.atMs}`);
});

Deno.test("it does not go on for ever, and its cap stays near what arrives", () => {
  const ever = explore(() => true, (atMs) => 50_000 * 1.2 ** (atMs / 1_000), 60_000);
  assert.ok(ever.look === "ended" && ever.atMs <= 16_000, `${ever.atMs}`);
  const { bestBytesPerSecond, mostBytesPerSecond } = ever.exploration;
  assert.ok(mostBytesPerSecond > 2 * bestBytesPerSecond);
  assert.ok(mostBytesPerSecond < 3 * bestBytesPerSecond);
});
