/**
 * Standard output of a command; null when it fails and `anyStatus` is not set.
 *
 * @throws when it cannot be run at all
 */
export async function commandOutput(
  command: string,
  args: string[],
  anyStatus = false,
): Promise<string | null> {
  const bytes = await commandBytes(command, args, anyStatus);
  return bytes && new TextDecoder().decode(bytes);
}

/** The same of a command whose output is no text. */
export async function commandBytes(
  command: string,
  args: string[],
  anyStatus = false,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const { success, stdout } = await new Deno.Command(command, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).output();
  return success || anyStatus ? stdout : null;
}
