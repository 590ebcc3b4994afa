import { GatewayError } from "../core/errors.ts";
import type { GuestView } from "../gateway/service.ts";
import { answer, type Cli, withClient } from "./cli.ts";
import { formatBytes, table } from "./format.ts";

/** `causeway guests`: the machines of the site. */
export function listGuests(cli: Cli): Promise<number> {
  return withClient(cli, async (client) => {
    const guests = await client.get<GuestView[]>("/v1/guests");
    answer(cli, guests, () => overview(guests));
    return 0;
  });
}

/** `causeway guests add`: attaches or launches a machine. */
export function addGuest(
  cli: Cli,
  id: string,
  options: { readonly definition: string },
): Promise<number> {
  return withClient(cli, async (client) => {
    const definition = await readDefinition(options.definition);
    const guest = await client.request<GuestView>(
      "PUT",
      `/v1/guests/${encodeURIComponent(id)}`,
      definition,
    );
    answer(cli, guest, () => overview([guest]));
    return 0;
  });
}

/** `causeway guests remove`: detaches a machine, or ends it. */
export function removeGuest(
  cli: Cli,
  id: string,
  options: { readonly end?: boolean },
): Promise<number> {
  return withClient(cli, async (client) => {
    const end = options.end ?? false;
    await client.request("DELETE", `/v1/guests/${encodeURIComponent(id)}?end=${end}`);
    answer(cli, { removed: id, ended: end }, () => [
      end ? `${id} has been ended` : `${id} is no longer registered; the machine goes on`,
    ]);
    return 0;
  });
}

/** `causeway guests verify`: a reference machine checks itself. @returns 1 when it found damage */
export function verifyGuest(cli: Cli, id: string): Promise<number> {
  return withClient(cli, async (client) => {
    const path = `/v1/guests/${encodeURIComponent(id)}/verify`;
    const found = await client.post<{ ok: boolean }>(path);
    answer(
      cli,
      found,
      () => [`${id} is ${found.ok ? "whole" : `damaged: ${JSON.stringify(found)}`}`],
    );
    return found.ok ? 0 : 1;
  });
}

function overview(guests: readonly GuestView[]): string[] {
  if (guests.length === 0) return ["No guests; add one with `causeway guests add ID`"];
  return table(
    ["ID", "KIND", "ROLE", "STATE", "OWNER", "EPOCH", "MEMORY", "DISKS", "MIGRATION"],
    guests.map(({ description, ...guest }) => [
      guest.id,
      guest.kind,
      guest.role,
      guest.runState,
      guest.owner ?? "-",
      String(guest.epoch),
      description ? formatBytes(description.memoryBytes) : "-",
      description?.disks.map((disk) => `${disk.id} ${formatBytes(disk.sizeBytes)}`).join(", ") ||
      "-",
      guest.migration ?? "-",
    ]),
  );
}

/** JSON given as it is (it begins with a brace), or the file that holds it. */
async function readDefinition(text: string): Promise<unknown> {
  const inline = text.trimStart().startsWith("{");
  try {
    return JSON.parse(inline ? text : await Deno.readTextFile(text));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError(
      "request_invalid",
      `Cannot use the definition${inline ? "" : ` in ${text}`}: ${reason}`,
      {
        hint: "Give a JSON object or the path of a file with one; docs/operations.md has examples",
      },
    );
  }
}
