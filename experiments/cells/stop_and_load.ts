import type { Machine } from "../../bench/bytes/machine.ts";
import type { QmpClient } from "../../src/qemu/qmp/client.ts";
import { pause } from "./sampler.ts";

const POLL_MS = 2;
const TIME_LIMIT_MS = 60_000;
/** Far above what a socket of one host carries. */
const FULL_BYTES_PER_SECOND = 10 * 1024 ** 3;
/** Whatever a move may have set. */
const CAPABILITIES = ["multifd", "xbzrle", "auto-converge", "pause-before-switchover"];

/**
 * What no mover can do without: the time from the stop of a machine until it runs again, when QEMU
 * migrates it to another QEMU of the same host over a unix socket, its disk left where it is. The
 * machine is of no use afterwards: it has the image of the other site.
 */
export async function stopAndLoadMs(machine: Machine, socketPath: string): Promise<number> {
  const source = machine.here.qmp;
  const there = await machine.expectAt(machine.here.site.name === "a" ? "b" : "a");
  const uri = `unix:${socketPath}`;
  for (const qmp of [there.qmp, source]) {
    await qmp.execute("migrate-set-capabilities", {
      capabilities: CAPABILITIES.map((capability) => ({ capability, state: false })),
    });
  }
  await source.execute("migrate-set-parameters", { "max-bandwidth": FULL_BYTES_PER_SECOND });
  const stopped = Promise.withResolvers<number>();
  const forget = source.onEvent(({ name }) => {
    if (name === "STOP") stopped.resolve(performance.now());
  });
  try {
    await there.qmp.execute("migrate-incoming", { uri });
    await source.execute("migrate", { uri });
    const deadlineMs = performance.now() + TIME_LIMIT_MS;
    while (await statusOf(there.qmp) !== "completed") {
      if (performance.now() > deadlineMs) throw new Error("QEMU did not load within a minute");
      await pause(POLL_MS);
    }
    await there.qmp.execute("cont");
    return Math.round(performance.now() - await stopped.promise);
  } finally {
    forget();
    await there.end();
  }
}

async function statusOf(qmp: QmpClient): Promise<string | undefined> {
  return (await qmp.execute("query-migrate") as { status?: string }).status;
}
