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
  const { success, stdout } = await new Deno.Command(command, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).output();
  return success || anyStatus ? new TextDecoder().decode(stdout) : null;
}
