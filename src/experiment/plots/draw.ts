/** A specification, and the path of the SVG file that it becomes. */
export interface Drawing {
  readonly path: string;
  readonly spec: Readonly<Record<string, unknown>>;
}

/**
 * Draws plots into an existing folder, by a process that may write there and nothing else. The first
 * one on a computer fetches the chart library.
 *
 * @returns null, or why there are none
 */
export async function draw(
  folder: string,
  drawings: readonly Drawing[],
): Promise<string | null> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--no-config"],
      ...["--lock", `${import.meta.dirname}/deno.lock`, "--frozen"],
      `--allow-write=${folder}`,
      `${import.meta.dirname}/render_process.ts`,
    ],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  // A process that has ended says why on its standard error.
  await writer.write(new TextEncoder().encode(JSON.stringify(drawings))).catch(() => {});
  await writer.close().catch(() => {});
  const { success, stderr } = await output;
  if (success) return null;
  // The first line says what is wrong, the others where.
  return new TextDecoder().decode(stderr).trim().split("\n")[0];
}
