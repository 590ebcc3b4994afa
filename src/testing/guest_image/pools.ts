/** Bytes of the pools that the guest cuts its content from; guest/memory.sh relies on them. */
export const RANDOM_POOL_BYTES = 4 * 1024 * 1024;
/** See `RANDOM_POOL_BYTES`. */
export const TEXT_POOL_BYTES = 2 * 1024 * 1024;

const LINE_BYTES = 64;
const PAGE_BYTES = 4096;

/** Incompressible bytes, the same on every call (xorshift32, Marsaglia 2003). */
export function randomPool(): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(RANDOM_POOL_BYTES / 4);
  let state = 0x9e3779b9;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return new Uint8Array(words.buffer);
}

/**
 * Log-like text of 64-byte lines, the same on every call. Each 4 KiB page begins with a line that
 * holds `stamp 0000000000`, which the guest replaces to change a few bytes of every page.
 */
export function textPool(): Uint8Array<ArrayBuffer> {
  const lines: string[] = [];
  const words = ["accepted", "completed", "delayed", "forwarded", "queued", "rejected", "retried"];
  let state = 1;
  for (let offset = 0; offset < TEXT_POOL_BYTES; offset += LINE_BYTES) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const number = String(offset / LINE_BYTES).padStart(6, "0");
    const line = offset % PAGE_BYTES === 0
      ? `${number} page header stamp 0000000000`
      : `${number} service[${state >>> 22}]: request ${state.toString(16)} ${words[state % 7]}`;
    lines.push(line.padEnd(LINE_BYTES - 1) + "\n");
  }
  return new TextEncoder().encode(lines.join(""));
}
