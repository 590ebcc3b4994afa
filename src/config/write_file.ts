/** Keys and tokens: for the gateway's own user. */
export const SECRET_MODE = 0o600;
export const PUBLIC_MODE = 0o644;

/** Creates a file that must not exist yet, durable before it returns. */
export async function createFile(path: string, text: string, mode: number): Promise<void> {
  using file = await Deno.open(path, { createNew: true, write: true, mode });
  await writeAll(file, text);
  await file.sync();
}

/** Replaces a file in one step, so that a reader sees the old or the new text and never half. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const next = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await createFile(next, text, mode);
    await Deno.rename(next, path);
  } catch (error) {
    await Deno.remove(next).catch(() => {});
    throw error;
  }
}

async function writeAll(file: Deno.FsFile, text: string): Promise<void> {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) rest = rest.subarray(await file.write(rest));
}
