/** One file or folder of an archive; `mode` holds the permission bits only. */
export type CpioEntry =
  | { readonly path: string; readonly mode: number; readonly content: Uint8Array }
  | { readonly path: string; readonly mode: number; readonly folder: true };

const FILE = 0o100000;
const FOLDER = 0o040000;

/**
 * Packs entries, in their order, into a cpio archive of the "newc" form, which is what the kernel
 * unpacks as its first file system (kernel documentation, "initramfs buffer format"): per entry a
 * header of 6 + 13 x 8 hexadecimal characters, the name with a NUL, the content, each padded to 4
 * bytes. Owner and times are 0, so that equal input gives equal bytes.
 */
export function packCpio(entries: readonly CpioEntry[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  entries.forEach((entry, index) => {
    const content = "content" in entry ? entry.content : new Uint8Array();
    const kind = "content" in entry ? FILE : FOLDER;
    parts.push(header(entry.path, kind | entry.mode, index + 1, content.length));
    parts.push(content, new Uint8Array(padding(content.length)));
  });
  parts.push(header("TRAILER!!!", 0, 0, 0));
  return concatenate(parts);
}

function header(path: string, mode: number, inode: number, contentBytes: number): Uint8Array {
  const name = new TextEncoder().encode(`${path}\0`);
  const zero = 0;
  const fields = [
    inode,
    mode,
    zero, // user
    zero, // group
    1, // links
    zero, // time
    contentBytes,
    zero, // device of the file
    zero,
    zero, // device that the entry is
    zero,
    name.length,
    zero, // checksum, unused in this form
  ];
  const text = "070701" + fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  const unpadded = text.length + name.length;
  return concatenate([new TextEncoder().encode(text), name, new Uint8Array(padding(unpadded))]);
}

function padding(lengthBytes: number): number {
  return -lengthBytes & 3;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
