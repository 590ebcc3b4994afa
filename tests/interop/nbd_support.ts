/** Helpers of the NBD interop tests: real tools as child processes, in a directory of their own. */

/** Runs a tool to its end. @returns stdout; throws with stderr when it fails */
export async function tool(command: string, ...args: readonly string[]): Promise<string> {
  const child = new Deno.Command(command, { args: [...args], stdin: "null" });
  const { success, stdout, stderr } = await child.output();
  if (success) return new TextDecoder().decode(stdout);
  const text = new TextDecoder().decode(stderr) + new TextDecoder().decode(stdout);
  throw new Error(`${command} ${args.join(" ")}: ${text}`);
}

export interface RunningServer extends AsyncDisposable {
  readonly address: { readonly kind: "unix"; readonly path: string };
  /** SIGKILL: nothing is answered any more. */
  kill(): void;
}

/** `qemu-nbd` with the given arguments; it goes to the background by itself once it listens. */
export async function qemuNbd(
  directory: string,
  ...args: readonly string[]
): Promise<RunningServer> {
  const base = await Deno.makeTempDir({ dir: directory });
  const fixed = ["--persistent", "--shared=16", "--fork", `--pid-file=${base}/pid`];
  await tool("qemu-nbd", ...fixed, "-x", "d", "-k", `${base}/s`, ...args);
  const pid = Number(await Deno.readTextFile(`${base}/pid`));
  let alive = true;
  const end = (signal: Deno.Signal) => {
    if (alive) Deno.kill(pid, signal);
    alive = false;
  };
  return {
    address: { kind: "unix", path: `${base}/s` },
    kill: () => end("SIGKILL"),
    [Symbol.asyncDispose]: () => Promise.resolve(end("SIGTERM")),
  };
}

/**
 * `nbdkit` with the given arguments. Its pid file appears after its start has returned, so
 * readiness is a line of the command that it runs once it listens, and that ends with its input.
 */
export async function nbdkit(
  directory: string,
  ...args: readonly string[]
): Promise<RunningServer> {
  const path = `${await Deno.makeTempDir({ dir: directory })}/s`;
  const child = new Deno.Command("nbdkit", {
    args: ["-U", path, ...args, "--run", "echo ready; cat"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = child.stdout.getReader();
  const { done } = await output.read();
  if (done) throw new Error(`nbdkit ${args.join(" ")} did not start`);
  return {
    address: { kind: "unix", path },
    kill: () => child.kill("SIGKILL"),
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await output.cancel();
      await child.status;
    },
  };
}
