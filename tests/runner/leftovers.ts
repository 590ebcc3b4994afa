import { listNamespaces, namespacePrefix, removeNamespace } from "../../src/testing/netns.ts";

/** Every process of a run carries this in its environment, however it was started. */
export const RUN_TOKEN_VARIABLE = "CAUSEWAY_TEST_RUN";

/** Short, as it is part of namespace names. */
export function newRunToken(): string {
  return crypto.randomUUID().slice(0, 8);
}

/**
 * Ends what tests of a run left behind, by process id and by namespace, and tells what it was.
 * Processes are found by the token in their environment, so those of other runs are safe.
 */
export async function removeLeftovers(runToken: string): Promise<string[]> {
  const removed: string[] = [];
  for (const { pid, name } of await processesOf(runToken)) {
    try {
      Deno.kill(pid, "SIGKILL");
      removed.push(`process ${pid} (${name})`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // ended meanwhile
    }
  }
  if (Deno.uid() !== 0) return removed;
  for (const name of await listNamespaces().catch(() => [])) {
    if (!name.startsWith(namespacePrefix(runToken))) continue;
    await removeNamespace(name);
    removed.push(`namespace ${name}`);
  }
  return removed;
}

/** Done by grep: Deno itself does not open files of /proc/PID without every permission. */
async function processesOf(runToken: string): Promise<{ pid: number; name: string }[]> {
  const script = `
    for file in $(grep -lszx -- "$1" /proc/[0-9]*/environ); do
      read -r name <"\${file%environ}comm" && echo "$file $name"
    done 2>/dev/null`;
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", script, "sh", `${RUN_TOKEN_VARIABLE}=${runToken}`],
  }).output();
  return [...new TextDecoder().decode(stdout).matchAll(/^\/proc\/(\d+)\/environ (.*)$/gm)]
    .map(([, pid, name]) => ({ pid: Number(pid), name }));
}

/**
 * Remembers a run until it has cleaned up, and cleans up after earlier ones that could not because
 * they were killed.
 */
export async function registerRun(folder: string, runToken: string): Promise<string[]> {
  await Deno.mkdir(folder, { recursive: true });
  const removed: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    const pid = Number(await Deno.readTextFile(path).catch(() => "0"));
    if (await isRunning(pid)) continue;
    removed.push(...await removeLeftovers(entry.name));
    await Deno.remove(path).catch(() => {});
  }
  await Deno.writeTextFile(`${folder}/${runToken}`, String(Deno.pid));
  return removed;
}

async function isRunning(pid: number): Promise<boolean> {
  const args = ["-c", 'test -d "/proc/$1"', "sh", String(pid)];
  return (await new Deno.Command("sh", { args }).output()).success;
}
