import type { GuestDefinition } from "../../src/guest/definition.ts";
import { attachQemu } from "../../src/qemu/qemu_guest.ts";
import { startQemu } from "../../src/testing/qemu_process.ts";
import { TwoSites } from "../../src/testing/two_sites.ts";
import { type FreeCase, type FreeMeasurement, measureMove } from "./measure.ts";

type Definition = Extract<GuestDefinition, { kind: "qemu" }>;
const GUEST_ID = "bench";
const VERIFY_MS_MAX = 60_000;
const GARBAGE_MS_MAX = 120_000;
const FREE_RATIO = 1 / 3;

interface Balloon {
  readonly hints: "on" | "off";
  /** The guest's kernel clears memory when it allocates it, also what it is about to hint. */
  readonly clears: boolean;
}

/** A Linux guest whose balloon hints free pages or does not. */
export function qemuCases(memoryMiB: number): FreeCase[] {
  const measure = (balloon: Balloon) => (seed: number) => move(memoryMiB, seed, balloon);
  return [
    { title: "QEMU, no hints", measure: measure({ hints: "off", clears: true }) },
    { title: "QEMU, hints", measure: measure({ hints: "on", clears: true }) },
    { title: "QEMU, no hints, init_on_alloc=0", measure: measure({ hints: "off", clears: false }) },
    { title: "QEMU, hints, init_on_alloc=0", measure: measure({ hints: "on", clears: false }) },
  ];
}

async function move(
  memoryMiB: number,
  seed: number,
  { hints, clears }: Balloon,
): Promise<FreeMeasurement> {
  await using sites = await TwoSites.start((_, stateDirectory) => (request) =>
    attachQemu({
      id: request.id,
      definition: request.definition as Definition,
      stateDirectory,
      clock: sites.clock,
      mayStart: request.launch,
    })
  );
  const machine = async (site: "a" | "b") => {
    const process = await startQemu({
      directory: `${sites.directory}/${site}`,
      memoryMiB,
      workload: { seed, memoryMiB: 8, memoryKiBPerSecond: 512 },
      kernelArguments: [`init_on_alloc=${clears ? 1 : 0}`],
      extraArgs: [
        ...["-object", "iothread,id=io0"],
        ...["-device", `virtio-balloon-pci,id=balloon0,free-page-hint=${hints},iothread=io0`],
      ],
      incoming: site === "b",
    });
    const role = site === "a" ? "source" : "incoming";
    await sites[site].putGuest(GUEST_ID, { kind: "qemu", role, qmp: process.qmpPath });
    return process;
  };
  await using source = await machine("a");
  await using destination = await machine("b");
  await source.waitReady();
  // Bytes that nothing else in the machine equals, then nobody's.
  const garbageMiB = Math.round(memoryMiB * FREE_RATIO);
  const leave = `dd if=/dev/urandom of=/hot/x bs=1M count=${garbageMiB} 2>/dev/null; rm /hot/x`;
  await source.ask(`run ${leave}`, GARBAGE_MS_MAX);
  const measured = await measureMove(sites, GUEST_ID);
  const answer = await destination.ask("verify", VERIFY_MS_MAX);
  if (!answer.startsWith("verify ok ")) throw new Error(`The machine is damaged: ${answer}`);
  return measured;
}
