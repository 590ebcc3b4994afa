import { type GuestDefinition, guestDefinition } from "../../src/guest/definition.ts";
import { attachReferenceGuest } from "../../src/guest/reference/reference_guest.ts";
import { TwoSites } from "../../src/testing/two_sites.ts";
import { type FreeCase, measureMove } from "./measure.ts";

type Definition = Extract<GuestDefinition, { kind: "reference" }>;
const GUEST_ID = "bench";
const FREE_RATIO = 1 / 3;

/** The reference machine with its free memory on the wire, and without. */
export function referenceCases(memoryMiB: number): FreeCase[] {
  return [
    { title: "reference, free memory travels", measure: (seed) => move(memoryMiB, seed, ["free"]) },
    { title: "reference, it does not", measure: (seed) => move(memoryMiB, seed, []) },
  ];
}

async function move(memoryMiB: number, seed: number, disable: "free"[]) {
  await using sites = await TwoSites.start((_, stateDirectory) => (request) =>
    attachReferenceGuest({
      id: request.id,
      definition: request.definition as Definition,
      stateDirectory,
      clock: sites.clock,
      mayStart: request.launch,
    })
  );
  const definition = (role: "source" | "incoming") =>
    guestDefinition.parse({
      kind: "reference",
      role,
      memoryMiB,
      workload: { seed, freeMiB: memoryMiB * FREE_RATIO, memoryBytesPerSecond: 1_000_000 },
    });
  await sites.a.putGuest(GUEST_ID, definition("source"));
  await sites.b.putGuest(GUEST_ID, definition("incoming"));
  const measured = await measureMove(sites, GUEST_ID, { disable });
  const check = await sites.b.verifyGuest(GUEST_ID) as { ok: boolean };
  if (!check.ok) throw new Error(`The machine is damaged: ${JSON.stringify(check)}`);
  return measured;
}
