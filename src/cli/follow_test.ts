import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { sampleReport } from "../http/testing/fake_service.ts";
import type { MigrationReport, MigrationState } from "../migration/report.ts";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { follow, IN_DOUBT_MS_MAX, UNREACHABLE_MS_MAX } from "./follow.ts";
import type { ServerEvent } from "./sse_reader.ts";

const gone = new GatewayError("gateway_unreachable", "Cannot reach it", { hint: "Start it" });

/** A gateway that serves these streams in turn: states, then `hang`, `break` or a clean end. */
function source(...streams: (MigrationState | "hang" | "break")[][]) {
  let opened = 0;
  return {
    opened: () => opened,
    async *events(_id: string, signal: AbortSignal): AsyncGenerator<ServerEvent> {
      const stream = streams[Math.min(opened++, streams.length - 1)];
      for (const step of stream) {
        if (step === "break") throw gone;
        if (step === "hang") {
          await new Promise<void>((resolve) => {
            if (signal.aborted) resolve();
            signal.addEventListener("abort", () => resolve());
          });
          return;
        }
        yield { name: "report", data: JSON.stringify(sampleReport({ state: step })) };
      }
    },
  };
}

async function states(reports: AsyncIterable<MigrationReport>): Promise<MigrationState[]> {
  const found: MigrationState[] = [];
  for await (const { state } of reports) found.push(state);
  return found;
}

Deno.test("follow() ends with the migration, or where it waits for a person", async () => {
  for (
    const end of ["completed", "failed", "cancelled", "rolledBack", "seeded", "conflict"] as const
  ) {
    const clock = new VirtualClock();
    const followed = states(
      follow(source(["copying", end, "copying"]), "m-1", clock, new AbortController().signal),
    );
    await clock.advance(10);
    assert.deepEqual(await followed, ["copying", end]);
  }
});

Deno.test("a stream that breaks or ends early is opened again", async () => {
  const clock = new VirtualClock();
  const gateway = source(["copying", "break"], ["break"], ["switching"], ["completed"]);
  const followed = states(follow(gateway, "m-1", clock, new AbortController().signal));
  await clock.advance(5_000);
  assert.deepEqual(await followed, ["copying", "switching", "completed"]);
  assert.equal(gateway.opened(), 4);
});

Deno.test("a gateway that stays away is reported, other errors at once", async () => {
  const clock = new VirtualClock();
  const followed = states(
    follow(source(["copying", "break"], ["break"]), "m-1", clock, new AbortController().signal),
  );
  const refused = assert.rejects(followed, { code: "gateway_unreachable" });
  await clock.advance(UNREACHABLE_MS_MAX - 1_000);
  await clock.advance(3_000);
  await refused;
});

Deno.test("a doubt is followed for a minute and no longer; one that ends is none", async () => {
  const clock = new VirtualClock();
  const gateway = source(["inDoubt", "hang"], ["inDoubt", "hang"]);
  let ended = false;
  const followed = states(follow(gateway, "m-1", clock, new AbortController().signal))
    .finally(() => ended = true);
  await clock.advance(IN_DOUBT_MS_MAX - 1_000);
  assert.equal(ended, false);
  await clock.advance(2_000);
  assert.deepEqual(await followed, ["inDoubt"]);

  const later = new VirtualClock();
  const over = states(
    follow(source(["inDoubt", "switching", "hang"]), "m-1", later, AbortSignal.abort()),
  );
  await later.advance(2 * IN_DOUBT_MS_MAX);
  assert.deepEqual(await over, []);
});

Deno.test("following can be stopped while nothing happens", async () => {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const followed = states(follow(source(["copying", "hang"]), "m-1", clock, stop.signal));
  await clock.advance(1_000);
  stop.abort();
  await clock.advance(1_000);
  assert.deepEqual(await followed, ["copying"]);
});
