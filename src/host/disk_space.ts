import { commandOutput } from "./command_output.ts";

/** Free bytes for unprivileged writers of the file system that holds `path`; null where unknown. */
export async function freeDiskBytes(path: string): Promise<number | null> {
  const text = await commandOutput("df", ["-Pk", "--", path]).catch(() => null);
  return text === null ? null : parseFreeBytes(text);
}

/** Pure: what `df -Pk` prints (POSIX: blocks of 1024 bytes, the fourth column is what is free). */
export function parseFreeBytes(text: string): number | null {
  const [, kib] = /^\S.*?\s+\d+\s+\d+\s+(\d+)\s+\d+%\s/m.exec(text.split("\n")[1] ?? "") ?? [];
  return kib === undefined ? null : Number(kib) * 1024;
}
