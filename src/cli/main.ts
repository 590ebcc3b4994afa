import { systemClock } from "../host/system_clock.ts";
import { runProgram } from "./program.ts";
import { systemTerminal } from "./terminal.ts";
import { userDirectory } from "./working_directory.ts";

const PROJECT = `${import.meta.dirname}/../..`;

/** Runs one command in this process. @returns its exit code */
export async function causeway(args: readonly string[]): Promise<number> {
  Deno.chdir(userDirectory(Deno.cwd(), PROJECT, granted("INIT_CWD")));
  return await runProgram(args, {
    terminal: systemTerminal(),
    clock: systemClock(),
    configPath: granted("CAUSEWAY_CONFIG") || undefined,
  });
}

/** A variable of the environment, as far as it may be read: `deno run` may have been given less. */
function granted(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}
