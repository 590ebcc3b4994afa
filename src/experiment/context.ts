import { cpus, loadavg, release } from "node:os";
import type { ContextReader } from "./runner.ts";

const ROOT = `${import.meta.dirname}/../..`;

/** Of what and where rows are made, as far as this process may look. */
export async function contextReader(): Promise<ContextReader> {
  const commit = await describedCommit();
  const machine = {
    processor: granted("cpus") ? cpus()[0]?.model ?? null : null,
    cores: navigator.hardwareConcurrency,
    kernel: granted("osRelease") ? release() : null,
    system: `${Deno.build.os} ${Deno.build.arch}`,
  };
  return () =>
    Promise.resolve({
      commit,
      deno: Deno.version.deno,
      machine,
      load: granted("loadavg") ? Number(loadavg()[0].toFixed(2)) : null,
    });
}

function granted(kind: "cpus" | "osRelease" | "loadavg"): boolean {
  return Deno.permissions.querySync({ name: "sys", kind }).state === "granted";
}

/** Of the sources that run; null where they are no clone. */
async function describedCommit(): Promise<string | null> {
  const output = await new Deno.Command("git", {
    args: ["describe", "--always", "--dirty", "--abbrev=12"],
    cwd: ROOT,
    stdin: "null",
    stderr: "null",
  }).output().catch(() => null);
  return output?.success ? new TextDecoder().decode(output.stdout).trim() : null;
}
