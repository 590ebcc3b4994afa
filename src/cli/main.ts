import { systemClock } from "../host/system_clock.ts";
import { runProgram } from "./program.ts";
import { systemTerminal } from "./terminal.ts";

/** Runs one command in this process. @returns its exit code */
export async function causeway(args: readonly string[]): Promise<number> {
  return await runProgram(args, {
    terminal: systemTerminal(),
    clock: systemClock(),
    configPath: Deno.env.get("CAUSEWAY_CONFIG") || undefined,
  });
}
