import type { Config } from "../../config/config.ts";
import { commandOutput } from "../../host/command_output.ts";
import { fail, type Finding, ok } from "./finding.ts";

/** The programs of the means `dns`, each with an argument that prints its version. */
const PROGRAMS = [["dig", "-v"], ["nsupdate", "-V"]] as const;

/** Whether names can be changed in the DNS, where the site has name servers for that. */
export async function checkNameServers(
  { nameServers }: Pick<Config, "nameServers">,
  runs: (program: string, argument: string) => Promise<boolean> = canRun,
): Promise<Finding[]> {
  if (Object.keys(nameServers).length === 0) return [];
  const results = await Promise.all(PROGRAMS.map(([name, version]) => runs(name, version)));
  const lacking = PROGRAMS.map(([name]) => name).filter((_, index) => !results[index]);
  const check = "programs of the means dns";
  if (lacking.length === 0) return [ok(check, "dig and nsupdate are there")];
  const hint = "Install them (Debian: bind9-dnsutils): moves of machines with dns are refused";
  return [fail(check, `${lacking.join(", ")} not on PATH`, hint)];
}

async function canRun(program: string, argument: string): Promise<boolean> {
  return await commandOutput(program, [argument], true).then(() => true, () => false);
}
