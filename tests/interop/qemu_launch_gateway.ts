/**
 * A process that launches a machine as a gateway does and then waits to be killed.
 * Arguments: state directory, definition as JSON.
 */
import { systemClock } from "../../src/host/system_clock.ts";
import { attachQemu, type QemuDefinition } from "../../src/qemu/qemu_guest.ts";

const [stateDirectory, definition] = Deno.args;
await attachQemu({
  id: "vm",
  definition: JSON.parse(definition) as QemuDefinition,
  stateDirectory,
  clock: systemClock(),
});
console.log("launched");
setInterval(() => {}, 60_000);
