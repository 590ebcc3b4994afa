const END_MS = 2_000;

/**
 * Ends every process that this one, or one of those, has started and that still runs: what was being
 * started when a cell was told to stop is in nobody's hands yet.
 */
export async function endDescendants(pid = Deno.pid): Promise<void> {
  const running = await descendantsOf(pid);
  for (const each of running) signal(each, "SIGTERM");
  const endMs = performance.now() + END_MS;
  while (performance.now() < endMs) {
    if ((await descendantsOf(pid)).length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  for (const each of await descendantsOf(pid)) signal(each, "SIGKILL");
}

/** Asked of `ps`: Deno itself does not open files of /proc/PID without every permission. */
async function descendantsOf(pid: number): Promise<number[]> {
  const ps = new Deno.Command("ps", { args: ["-eo", "pid=,ppid=,stat=,comm="], stdin: "null" });
  const lines = new TextDecoder().decode((await ps.output()).stdout).split("\n");
  const children = new Map<number, number[]>();
  for (const line of lines) {
    const [own, parent, state, name] = line.trim().split(/\s+/);
    // What has ended waits for its parent; and who asks is no work of the cell's.
    if (state === undefined || state.startsWith("Z") || name === "ps") continue;
    children.set(Number(parent), [...children.get(Number(parent)) ?? [], Number(own)]);
  }
  const found: number[] = [];
  const visit = (of: number) => {
    for (const each of children.get(of) ?? []) {
      found.push(each);
      visit(each);
    }
  };
  visit(pid);
  return found;
}

function signal(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch {
    // It has ended.
  }
}
