import type { DiskDescription, Finding, GuestDescription } from "../../guest/guest.ts";
import { memoryFindings } from "../../guest/memory_room.ts";
import { readDrives, runStateOf } from "../describe.ts";
import { hostMemory } from "../../host/host_memory.ts";
import { ask, memoryDevicesAnswer, statusAnswer } from "../answers.ts";
import type { Drive } from "../drives.ts";
import { exportIds } from "../exports.ts";
import { fileRoom, lockConflict, processesWithOpenFile } from "../host_process.ts";
import type { Machine } from "../machine.ts";
import { refusal } from "../preflight_rules.ts";
import { roomFindings, type RoomNeed } from "../room_rules.ts";

/** Findings about the images and the room of a machine that is to arrive. */
export async function destinationFindings(
  machine: Machine,
  counterpart: GuestDescription,
): Promise<Finding[]> {
  const [status, drives, exports] = await Promise.all([
    ask(machine, "query-status", statusAnswer),
    readDrives(machine),
    exportIds(machine),
  ]);
  const findings: Finding[] = [];
  if (runStateOf(status.status) !== "incoming") {
    findings.push(refusal(
      "guest_not_incoming",
      `Cannot move: "${machine.id}" is ${status.status} here, not waiting for a machine`,
      "Start it with -incoming defer, or register it again with role incoming",
    ));
  }
  if (exports.length > 0) {
    findings.push(refusal(
      "nbd_server_in_use",
      `Cannot move: the NBD server of "${machine.id}" serves ${exports.join(", ")}`,
      "Delete these exports and stop the server, which QEMU has only one of",
    ));
  }
  const travels = new Set(counterpart.disks.map(({ id }) => id));
  // Images of another host cannot be looked at from here.
  if (machine.address.kind === "unix") {
    const written = drives.filter((drive) => !drive.readOnly && travels.has(drive.id));
    findings.push(...(await Promise.all(written.map(imageFindings))).flat());
    findings.push(...roomFindings(await roomNeeds(written, counterpart.disks)));
    findings.push(...await memoryRoom(machine, counterpart.memoryBytes));
  }
  return findings;
}

/** QEMU takes its memory page by page as it arrives, unless it was told to take it all at once. */
async function memoryRoom(machine: Machine, memoryBytes: number): Promise<Finding[]> {
  const [devices, host] = await Promise.all([
    ask(machine, "query-memdev", memoryDevicesAnswer),
    hostMemory(),
  ]);
  const takenBytes = devices.reduce((sum, { size, prealloc }) => sum + (prealloc ? size : 0), 0);
  return memoryFindings(Math.max(0, memoryBytes - takenBytes), host);
}

async function imageFindings(drive: Drive): Promise<Finding[]> {
  const { id, path } = drive;
  if (path === null) return [];
  const locked = await lockConflict(path);
  const pids = locked === null ? await processesWithOpenFile(path).catch(() => []) : [];
  if (locked === null && pids.length <= 1) return [];
  return [refusal(
    "image_in_use",
    `Cannot move: the image ${path} of disk "${id}" is in use: ` +
      (locked ?? `processes ${pids.join(", ")} have it open`),
    "End the other user of the image, or give the destination another one",
  )];
}

/** What each image that will be written may need of its storage. */
async function roomNeeds(
  drives: readonly Drive[],
  sources: readonly DiskDescription[],
): Promise<RoomNeed[]> {
  const needs: RoomNeed[] = [];
  for (const { id, path, sizeBytes } of drives) {
    const room = path === null ? null : await fileRoom(path);
    if (room === null) continue;
    const source = sources.find((disk) => disk.id === id);
    needs.push({ id, sizeBytes, sourceAllocatedBytes: source?.allocatedBytes ?? null, room });
  }
  return needs;
}
