/** Files of page images below `directory`: they have no name, only this process has them open. */
export function spillsOf(directory: string): string[] {
  return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => `/proc/self/fd/${name}`)
    .filter((path) => {
      try {
        const target = Deno.readLinkSync(path);
        return target.startsWith(directory) && target.endsWith(".pages (deleted)");
      } catch {
        return false;
      }
    });
}

/** Spoils all of a file, as a failing disk would. */
export function overwrite(path: string): void {
  using file = Deno.openSync(path, { read: true, write: true });
  const { size } = file.statSync();
  const noise = new Uint8Array(65_536).map((_, i) => i * 31 + 7);
  for (let at = 0; at < size; at += noise.byteLength) {
    file.writeSync(noise.subarray(0, Math.min(noise.byteLength, size - at)));
  }
}
