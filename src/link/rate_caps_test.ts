import assert from "node:assert/strict";
import { RateCaps } from "./rate_caps.ts";

Deno.test("a record waits for the link's cap and for its migration's, whichever is later", () => {
  const caps = new RateCaps(0);
  caps.setLink(1_000_000, 0);
  caps.setMigration("a", 100_000, 0);
  caps.spend("a", 50_000, 0);
  assert.equal(caps.readyAtMs("a", 0), 500);
  assert.equal(caps.readyAtMs("b", 0), 50);
  assert.equal(caps.readyAtMs(null, 0), 50);
  caps.spend(null, 1_000_000, 0);
  assert.equal(caps.readyAtMs("a", 0), 1_050);
  caps.setLink(null, 0);
  assert.equal(caps.readyAtMs("a", 0), 500);
  caps.forget("a");
  assert.equal(caps.readyAtMs("a", 0), 0);
});

Deno.test("records are spread at the caps of those that send, unless one of them has none", () => {
  const caps = new RateCaps(0);
  const near = (value: number | null, expected: number) =>
    assert.ok(value !== null && value >= expected && value <= 1.3 * expected, `${value}`);
  assert.equal(caps.paceBytesPerSecond(["a", "b"]), null);
  caps.setMigration("a", 100, 0);
  caps.setMigration("b", 200, 0);
  near(caps.paceBytesPerSecond(["a"]), 100);
  near(caps.paceBytesPerSecond(["a", "b"]), 300);
  assert.equal(caps.paceBytesPerSecond(["a", "c"]), null);
  assert.equal(caps.paceBytesPerSecond([]), null, "nothing is spread that nobody sends");
  caps.setLink(250, 0);
  near(caps.paceBytesPerSecond(["a", "b"]), 250);
  near(caps.paceBytesPerSecond(["a", "c"]), 250);
  near(caps.paceBytesPerSecond([]), 250);
});
