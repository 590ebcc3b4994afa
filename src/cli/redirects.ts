import { answer, type Cli, withClient } from "./cli.ts";

/** `causeway redirects`: addresses that follow their machine. */
export function redirects(cli: Cli): Promise<number> {
  return withClient(cli, async (client) => {
    const list = await client.get<unknown[]>("/v1/redirects");
    answer(
      cli,
      list,
      () => list.length === 0 ? ["No redirects"] : list.map((entry) => JSON.stringify(entry)),
    );
    return 0;
  });
}
