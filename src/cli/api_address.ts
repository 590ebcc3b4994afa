import { formatHostPort, type HostPort, parseHostPort } from "../config/address.ts";

const FILE_NAME = "api-address";

/** Notes where the API is served, for commands whose configuration says "any free port". */
export async function writeApiAddress(stateDirectory: string, address: HostPort): Promise<void> {
  await Deno.writeTextFile(`${stateDirectory}/${FILE_NAME}`, formatHostPort(address) + "\n");
}

/** The address noted last; null without a note. */
export async function readApiAddress(stateDirectory: string): Promise<HostPort | null> {
  const text = await Deno.readTextFile(`${stateDirectory}/${FILE_NAME}`).catch(() => "");
  return parseHostPort(text.trim());
}
