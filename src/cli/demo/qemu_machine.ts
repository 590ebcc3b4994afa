import { GatewayError } from "../../core/errors.ts";
import { guestImage } from "../../testing/guest_image/build.ts";
import { GuestChannel } from "../../testing/guest_image/guest_channel.ts";
import { guestArgv } from "../../testing/qemu_process.ts";
import { missingRequirements, SETUP_COMMAND } from "../../testing/requirements.ts";
import type { DemoMachine, MachineSetting, Side } from "./machine.ts";

const MEMORY_MIB = 256;
const DISK_MIB = 256;
const MIB = 1024 * 1024;
const DISK_ID = "disk0";

const BOOT_MS_MAX = 60_000;
const POLL_MS = 200;
/** The check reads all that the machine has written, under emulation. */
const VERIFY_MS_MAX = 120_000;

/**
 * A real Linux under QEMU, with files in memory and on a disk that it keeps rewriting and can check
 * by their sums.
 *
 * @throws {GatewayError} `guest_launch_failed` naming what this computer lacks
 */
export async function qemuMachine(setting: MachineSetting): Promise<DemoMachine> {
  const lacking = await missingRequirements("qemu", "guestImage");
  if (lacking.length > 0) {
    throw new GatewayError(
      "guest_launch_failed",
      `Cannot run the demo with a QEMU machine: ${lacking.join("; ")}`,
      { hint: `On Debian one command provides it: ${SETUP_COMMAND}; or use --guest reference` },
    );
  }
  const image = await guestImage();
  const { clock, directories } = setting;
  const disk = (side: Side) => ({
    id: DISK_ID,
    path: `${directories[side]}/${DISK_ID}.raw`,
    format: "raw" as const,
  });
  const channelPath = (side: Side) => `${directories[side]}/channel`;
  const consolePath = (side: Side) => `${directories[side]}/console.log`;
  return {
    title: `a Linux under QEMU with ${MEMORY_MIB} MiB of memory and a disk of ${DISK_MIB} MiB`,
    plainCopyBytes: (MEMORY_MIB + DISK_MIB) * MIB,
    definition: (side) => ({
      kind: "qemu",
      role: side,
      launch: {
        argv: guestArgv({
          image,
          memoryMiB: MEMORY_MIB,
          disks: [disk(side)],
          workload: { memoryMiB: 48, memoryKiBPerSecond: 2048, diskKiBPerSecond: 500 },
          consolePath: consolePath(side),
          channelPath: channelPath(side),
        }),
        disks: [{ ...disk(side), sizeMiB: DISK_MIB }],
      },
    }),
    async whenBusy(signal) {
      const untilMs = clock.nowMs() + BOOT_MS_MAX;
      for (;;) {
        const text = await Deno.readTextFile(consolePath("source")).catch(() => "");
        if (text.includes("cw: ready ")) return;
        if (text.includes("Kernel panic") || clock.nowMs() > untilMs) {
          throw new GatewayError(
            "guest_launch_failed",
            "Cannot run the demo: the machine did not boot",
            { hint: text.slice(-500) },
          );
        }
        await clock.sleep(POLL_MS, signal);
      }
    },
    async verify() {
      using channel = new GuestChannel(channelPath("incoming"));
      const answer = await channel.ask("verify", VERIFY_MS_MAX);
      const ok = answer.startsWith("verify ok");
      return { ok, text: ok ? `whole: ${answer}` : `damaged: ${answer}` };
    },
  };
}
