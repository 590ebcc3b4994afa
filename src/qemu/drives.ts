import type { DiskDescription } from "../guest/guest.ts";
import { type BitmapAnswer, type BlockAnswer, type ImageAnswer, ioLimits } from "./answers.ts";
import type { FoundLimits } from "./io_limits.ts";

/** A medium in a device of the machine, with the handle that QEMU's block commands take. */
export interface Drive extends DiskDescription {
  readonly nodeName: string;
  readonly snapshots: readonly string[];
  readonly bitmaps: readonly BitmapAnswer[];
  /** Limits of its I/O as they are now; null where QEMU cannot be asked to limit it. */
  readonly throttle: FoundLimits | null;
}

/** Every bitmap of the driver begins with this, so that leftovers are known as ours. */
export const BITMAP_PREFIX = "causeway-";

/**
 * The media of a machine, sorted by device id. Drives without a device (`-drive if=none` that
 * nobody uses) and empty trays hold nothing that travels and are left out.
 */
export function drivesOf(blocks: readonly BlockAnswer[]): Drive[] {
  const drives: Drive[] = [];
  for (const { device, qdev, inserted } of blocks) {
    if (!inserted || inserted["node-name"] === undefined) continue;
    if (qdev === undefined && device === "") continue;
    drives.push({
      id: deviceId(qdev, device),
      sizeBytes: inserted.image["virtual-size"],
      allocatedBytes: allocatedBytes(inserted.image),
      format: inserted.drv,
      readOnly: inserted.ro,
      path: imagePath(inserted.file),
      nodeName: inserted["node-name"],
      snapshots: (inserted.image.snapshots ?? []).map((snapshot) => snapshot.name),
      bitmaps: inserted["dirty-bitmaps"] ?? [],
      throttle: throttleOf(qdev, device, inserted),
    });
  }
  return drives.sort((a, b) => a.id < b.id ? -1 : 1);
}

/** What crosses the link of a drive. */
export function describeDrive(drive: Drive): DiskDescription {
  const { id, sizeBytes, allocatedBytes, format, readOnly, path } = drive;
  return { id, sizeBytes, allocatedBytes, format, readOnly, path };
}

/**
 * The id that the operator gave the device. `query-block` names the device by its QOM path, for
 * virtio by that of its backend child: `/machine/peripheral/vd0/virtio-backend`. Flash of the
 * machine itself is a direct child of it. Without an id, the drive's own name (`virtio0`) is as
 * stable as the command line, else the path has to do.
 */
function deviceId(qdev: string | undefined, device: string): string {
  if (qdev === undefined) return device;
  const named = /^\/machine\/(?:peripheral\/)?([^/]+)(?:\/virtio-backend)?$/.exec(qdev);
  if (named) return named[1];
  if (!qdev.startsWith("/")) return qdev;
  return device !== "" ? device : qdev.replace(/\/virtio-backend$/, "");
}

/**
 * Flash of the machine itself is left alone: its few writes are done while a processor waits, and
 * one that waits for a limit would stop the whole machine.
 */
function throttleOf(
  qdev: string | undefined,
  device: string,
  inserted: NonNullable<BlockAnswer["inserted"]>,
): FoundLimits | null {
  if (qdev !== undefined && /^\/machine\/[^/]+$/.test(qdev)) return null;
  const handle = qdev === undefined ? { device } : { id: qdev };
  return { handle, limits: ioLimits.parse(inserted) };
}

/** An image and what lies below it; null where a part does not say. */
function allocatedBytes(image: ImageAnswer): number | null {
  let sumBytes = 0;
  for (let layer: ImageAnswer | undefined = image; layer; layer = layer["backing-image"]) {
    const layerBytes = layer["actual-size"];
    if (layerBytes === undefined) return null;
    sumBytes += layerBytes;
  }
  return sumBytes;
}

/** `file` may be a `json:` description or a URL; only a plain path names a file on the host. */
function imagePath(file: string): string | null {
  return /^[a-z][a-z0-9+.-]*:/i.test(file) ? null : file;
}
