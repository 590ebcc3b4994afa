import type { AuditEntry } from "../ledger/audit_log.ts";
import { answer, type Cli, withClient } from "./cli.ts";

/** Options of `causeway audit`. */
export interface AuditArguments {
  readonly limit?: number;
  readonly before?: number;
  readonly kind?: string;
}

/** `causeway audit`: what was refused and decided, newest first. */
export function showAudit(cli: Cli, options: AuditArguments): Promise<number> {
  return withClient(cli, async (client) => {
    const given = Object.entries(options).map(([name, value]) => [name, String(value)]);
    const entries = await client.get<AuditEntry[]>(`/v1/audit?${new URLSearchParams(given)}`);
    answer(
      cli,
      entries,
      () =>
        entries.map(({ number, at, kind, body }) =>
          `${number}  ${at}  ${kind}  ${JSON.stringify(body)}`
        ),
    );
    return 0;
  });
}
