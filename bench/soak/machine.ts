import type { GuestDefinition } from "../../src/guest/definition.ts";
import type { RealSite } from "../../src/testing/real_sites.ts";
import type { SiteApi } from "../../src/testing/site_process.ts";
import { type MachineEnd, machineEnd } from "../../src/testing/travelling_machine.ts";
import type { SiteName } from "./sites.ts";

export const GUEST_ID = "vm";

/** A machine that can be expected at either site, and says itself whether it is whole. */
export interface SoakMachine extends Disposable {
  definition(site: SiteName, role: "source" | "incoming"): GuestDefinition;
  /** Resolves when it works at its first site. */
  ready(): Promise<void>;
  /** @throws {Error} with what the machine found wrong in itself */
  verify(site: SiteName, api: SiteApi): Promise<void>;
}

/** @param seed of the workload */
export async function soakMachine(
  kind: "reference" | "qemu",
  directory: string,
  seed: number,
): Promise<SoakMachine> {
  return kind === "qemu" ? await qemuMachine(directory) : referenceMachine(seed);
}

function referenceMachine(seed: number): SoakMachine {
  return {
    definition: (_, role) => ({
      kind: "reference",
      role,
      memoryMiB: 24,
      disks: [{ sizeMiB: 12 }],
      workload: {
        seed,
        hotMiB: 2,
        coldRatio: 0.05,
        memoryBytesPerSecond: 500_000,
        diskBytesPerSecond: 100_000,
        silentRatio: 0.2,
        textRatio: 0.4,
        randomRatio: 0.2,
        freeMiB: 0,
      },
    }),
    ready: () => Promise.resolve(),
    async verify(_, api) {
      const found = await api.call<{ ok: boolean }>("POST", `/guests/${GUEST_ID}/verify`);
      if (!found.ok) throw new Error(`The machine is damaged: ${JSON.stringify(found)}`);
    },
    [Symbol.dispose]() {},
  };
}

async function qemuMachine(directory: string): Promise<SoakMachine> {
  const size = {
    memoryMiB: 160,
    diskMiB: 64,
    workload: { memoryMiB: 12, memoryKiBPerSecond: 512, diskKiBPerSecond: 128 },
  };
  const at = (site: SiteName, role: "source" | "incoming") =>
    machineEnd({ directory: `${directory}/${site}` } as RealSite, role, size, null);
  const roles = {
    a: { source: await at("a", "source"), incoming: await at("a", "incoming") },
    b: { source: await at("b", "source"), incoming: await at("b", "incoming") },
  };
  const each: MachineEnd[] = Object.values(roles).flatMap((ends) => Object.values(ends));
  return {
    definition: (site, role) => roles[site][role].definition,
    ready: () => roles.a.source.waitReady(),
    async verify(site) {
      // A channel of its own for each: the QEMU behind the socket is a new one after each move.
      using end = await at(site, "source");
      const answer = await end.channel.ask("verify", 120_000);
      if (!answer.startsWith("verify ok ")) throw new Error(`The machine is damaged: ${answer}`);
    },
    [Symbol.dispose]() {
      for (const end of each) end[Symbol.dispose]();
    },
  };
}
