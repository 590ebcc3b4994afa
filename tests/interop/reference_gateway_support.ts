/**
 * A gateway that gets as far as it is told and then waits to be killed:
 * `reference_gateway_support.ts STATE_DIRECTORY copying|gate`. Prints the step when it is there.
 */
import { referenceWorkload } from "../../src/guest/definition.ts";
import { attachReferenceGuest } from "../../src/guest/reference/reference_guest.ts";
import { systemClock } from "../../src/host/system_clock.ts";

const [stateDirectory, step] = Deno.args;
const guest = await attachReferenceGuest({
  id: "guest",
  definition: {
    kind: "reference",
    role: "source",
    memoryMiB: 16,
    disks: [{ sizeMiB: 4 }],
    workload: referenceWorkload.parse({}),
  },
  stateDirectory,
  clock: systemClock(),
});
await guest.source.begin({
  scratchDirectory: stateDirectory,
  remember: () => Promise.resolve(),
});
const stream = await guest.source.startMemory();
const reading = (async () => {
  for await (const _ of stream.items()) continue;
})();
if (step === "gate") await stream.pauseAtGate();
console.log(step);
await reading;
