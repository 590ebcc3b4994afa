import type { Command } from "commander";
import { ROLES } from "../security/roles.ts";
import { oneOf, wholeNumber } from "./arguments.ts";
import type { AuditArguments } from "./audit.ts";
import type { Run } from "./move_commands.ts";
import type { TokenArguments } from "./tokens.ts";

/** Commands about who may do what: tokens and what was refused or decided. */
export function addAccessCommands(program: Command, run: Run): void {
  const tokens = program.command("tokens")
    .description("the tokens of the API")
    .action(run(async (cli) => (await import("./tokens.ts")).listTokens(cli)));
  tokens.command("list")
    .description("the same")
    .action(run(async (cli) => (await import("./tokens.ts")).listTokens(cli)));
  tokens.command("create")
    .description("make a token; it is shown once")
    .requiredOption("--name <name>", "whose it is")
    .requiredOption("--role <role>", "read, operate or admin", oneOf(...ROLES))
    .option("--expires <when>", "after a time such as 12h or 30d, or at an RFC 3339 time (never)")
    .option("--out <file>", "write it to a new file of mode 0600 instead of showing it")
    .action(
      run(async (cli, options: TokenArguments) =>
        (await import("./tokens.ts")).createToken(cli, options)
      ),
    );
  tokens.command("revoke <name-or-id>")
    .description("make a token worthless")
    .action(run(async (cli, id: string) => (await import("./tokens.ts")).revokeToken(cli, id)));

  program.command("audit")
    .description("who was refused, who decided what: newest entries first")
    .option("--limit <n>", "so many entries (100)", wholeNumber)
    .option("--before <number>", "older ones than this entry", wholeNumber)
    .option("--kind <kind>", "of one kind only")
    .action(
      run(async (cli, options: AuditArguments) =>
        (await import("./audit.ts")).showAudit(cli, options)
      ),
    );
}
