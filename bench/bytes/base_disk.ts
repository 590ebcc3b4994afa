import { findGuestKernel } from "../../src/testing/guest_image/guest_kernel.ts";
import { createDisk } from "../../src/testing/qemu_process.ts";

const MEBIBYTE = 1024 * 1024;
/** What a file system aligns files to. */
const BLOCK_BYTES = 4096;

/**
 * Makes a raw disk that begins like an installed one: the modules of the guest's kernel, which are
 * real programs, one after the other from block to block; the rest is a hole. Equal for equal sizes.
 */
export async function makeBaseDisk(
  path: string,
  sizeMiB: number,
  filledMiB: number,
): Promise<void> {
  const kernel = findGuestKernel();
  if (kernel === null) throw new Error("There is no guest kernel to fill the disk from");
  await createDisk(path, "raw", sizeMiB);
  using disk = await Deno.open(path, { write: true });
  const endBytes = filledMiB * MEBIBYTE;
  let offsetBytes = 0;
  for (const name of [...kernel.modules.keys()].sort()) {
    if (offsetBytes >= endBytes) return;
    const content = await Deno.readFile(kernel.modules.get(name)!);
    const part = content.subarray(0, endBytes - offsetBytes);
    await disk.seek(offsetBytes, Deno.SeekMode.Start);
    for (let at = 0; at < part.length;) at += await disk.write(part.subarray(at));
    offsetBytes += Math.ceil(part.length / BLOCK_BYTES) * BLOCK_BYTES;
  }
  throw new RangeError(
    `The kernel's modules fill ${offsetBytes / MEBIBYTE} MiB only, not ${filledMiB}`,
  );
}
