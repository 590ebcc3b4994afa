/** Memory that looks like a disk, where there is some: thousands of syncs cost nothing there. */
const IN_MEMORY = "/dev/shm";

/** A fresh directory for files that are written for each input. */
export async function fastDirectory(): Promise<string> {
  const prefix = "cw-fuzz-";
  return await Deno.makeTempDir({ dir: IN_MEMORY, prefix })
    .catch(() => Deno.makeTempDir({ prefix }));
}
