import { ELEMENT, RAM } from "./format.ts";

/** Bytes of `PART section` and of `END section`, up to the first record. */
export const SECTION_HEADER_BYTES = 5;
/** Bytes of the EOS word and the footer. */
export const SECTION_END_BYTES = 13;

/** Writes `02 section` or `03 section`; returns the position behind it. */
export function putSectionHeader(
  view: DataView,
  at: number,
  element: typeof ELEMENT.part | typeof ELEMENT.end,
  section: number,
): number {
  view.setUint8(at, element);
  view.setUint32(at + 1, section);
  return at + SECTION_HEADER_BYTES;
}

/** Writes EOS word and footer; returns the position behind them. */
export function putSectionEnd(view: DataView, at: number, section: number): number {
  view.setUint32(at, 0);
  view.setUint32(at + 4, RAM.endOfSection);
  view.setUint8(at + 8, ELEMENT.footer);
  view.setUint32(at + 9, section);
  return at + SECTION_END_BYTES;
}

/** Writes a record's first word: the page's offset in its block with the flags in the low bits. */
export function putRecordWord(
  view: DataView,
  at: number,
  pageIndex: number,
  pageBytes: number,
  flags: number,
): number {
  const offset = pageIndex * pageBytes;
  view.setUint32(at, Math.floor(offset / 2 ** 32));
  view.setUint32(at + 4, offset % 2 ** 32 + flags);
  return at + 8;
}

/** A block's or section's name as on the wire: one length byte, then one byte per character. */
export function nameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(1 + name.length);
  bytes[0] = name.length;
  for (let i = 0; i < name.length; i++) bytes[1 + i] = name.charCodeAt(i);
  return bytes;
}

/** Text one character per byte, so that encoding it again gives the same bytes. */
export function textOf(bytes: Uint8Array): string {
  // Spreading the array into one call takes seven times as long.
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]);
  return text;
}

/** A complete memory section without records: what is left of END once its pages went ahead. */
export function emptySection(
  element: typeof ELEMENT.part | typeof ELEMENT.end,
  section: number,
): Uint8Array {
  const bytes = new Uint8Array(SECTION_HEADER_BYTES + SECTION_END_BYTES);
  const view = new DataView(bytes.buffer);
  putSectionEnd(view, putSectionHeader(view, 0, element, section), section);
  return bytes;
}

/**
 * Opens a memory section in front of records that cannot be interpreted.
 *
 * Such records may say "same block as before", so the block must be named again without changing
 * memory. An XBZRLE record of length 0 does exactly that: QEMU's loader takes the block name,
 * checks the offset, and applies no delta. It needs no capability at the destination (see
 * `load_xbzrle` in migration/ram.c; tried on 7.2.22 and 10.0.2). Repeating the last page instead
 * would mean to keep a copy of one page per read. `pageIndex` is one that was sent before, so that
 * the destination's account of received pages stays true.
 */
export function reopenedSection(
  element: typeof ELEMENT.part | typeof ELEMENT.end,
  section: number,
  last:
    | { readonly blockName: string; readonly pageIndex: number; readonly pageBytes: number }
    | null,
): Uint8Array {
  const name = last ? nameBytes(last.blockName) : new Uint8Array();
  const bytes = new Uint8Array(SECTION_HEADER_BYTES + (last ? 8 + name.length + 3 : 0));
  const view = new DataView(bytes.buffer);
  let at = putSectionHeader(view, 0, element, section);
  if (last) {
    at = putRecordWord(view, at, last.pageIndex, last.pageBytes, RAM.delta);
    bytes.set(name, at);
    at += name.length;
    bytes[at] = 1; // the only delta encoding; be16 length 0 follows
  }
  return bytes;
}
