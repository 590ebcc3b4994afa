import type { DemoMachine, MachineSetting } from "./machine.ts";

const MEMORY_MIB = 96;
const DISK_MIB = 48;
const MIB = 1024 * 1024;

/** Long enough that the hot pages have been written and the disk has been touched. */
const WARM_UP_MS = 1_000;

/**
 * Busy enough that the last rounds decide the downtime, slow enough that the move also converges on
 * a computer so loaded that it fills a tenth of the link.
 */
const WORKLOAD = {
  seed: 42,
  hotMiB: 6,
  memoryBytesPerSecond: 1_000_000,
  diskBytesPerSecond: 300_000,
};

/** The embedded machine: needs neither QEMU nor root, and can check itself page by page. */
export function referenceMachine({ id, clock }: MachineSetting): DemoMachine {
  return {
    title: `a reference machine with ${MEMORY_MIB} MiB of memory and a disk of ${DISK_MIB} MiB`,
    plainCopyBytes: (MEMORY_MIB + DISK_MIB) * MIB,
    definition: (role) => ({
      kind: "reference",
      role,
      memoryMiB: MEMORY_MIB,
      disks: [{ sizeMiB: DISK_MIB }],
      workload: WORKLOAD,
    }),
    whenBusy: (signal) => clock.sleep(WARM_UP_MS, signal),
    async verify(destination) {
      const found = await destination.post<{
        ok: boolean;
        memoryPagesChecked?: number;
        diskBlocksChecked?: number;
        ticks?: number;
      }>(`/v1/guests/${id}/verify`);
      return {
        ok: found.ok,
        text: found.ok
          ? `whole: ${found.memoryPagesChecked} pages, ${found.diskBlocksChecked} disk blocks and ` +
            `its registers are what ${found.ticks} ticks of its program make them`
          : `damaged: ${JSON.stringify(found)}`,
      };
    },
  };
}
