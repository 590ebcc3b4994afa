import type { Fault } from "../../src/experiment/schema.ts";

/** Who makes faults happen. */
export interface FaultActions {
  outage(fault: Extract<Fault, { kind: "outage" }>): void | Promise<void>;
  kill(gateway: "source" | "destination"): void | Promise<void>;
}

/** Lets faults happen at their times from now on; disposing drops those that have not come. */
export function startFaults(faults: readonly Fault[], actions: FaultActions): Disposable {
  const timers = faults.map((fault) =>
    setTimeout(async () => {
      try {
        await (fault.kind === "outage" ? actions.outage(fault) : actions.kill(fault.gateway));
      } catch (error) {
        // Such as a second kill of a gateway that is not back yet.
        console.error(`A fault did not happen: ${error}`);
      }
    }, fault.atMs)
  );
  return { [Symbol.dispose]: () => timers.forEach(clearTimeout) };
}
