import type { Command } from "commander";
import { ROLES } from "../security/roles.ts";
import { oneOf, wholeNumber } from "./arguments.ts";
import type { AuditArguments } from "./audit.ts";
import type { RotateAuthorityArguments, RotateKeyArguments } from "./rotate.ts";
import type { Run } from "./move_commands.ts";
import type { TokenArguments } from "./tokens.ts";

/** Commands about who may do what: tokens, keys, and what was refused or decided. */
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

  program.command("untrust")
    .description("take a peer out; its connections end")
    .requiredOption("--peer <name>", "which one")
    .action(
      run(async (cli, options: { peer: string }) =>
        (await import("./rotate.ts")).untrust(cli, options)
      ),
    );
  program.command("rotate-key")
    .description("make a new key for the link under the site's authority; peers need not be told")
    .option("--authority-key <file>", "where the authority's key is kept (site.key)")
    .option("--generation <n>", "a later one than the next", wholeNumber)
    .action(
      run(async (cli, options: RotateKeyArguments) =>
        (await import("./rotate.ts")).rotateKey(cli, options)
      ),
    );
  program.command("rotate-authority")
    .description("make another authority for the site, for peers to trust beside the present one")
    .option("--use <file>", "show the one with this certificate from now on")
    .action(
      run(async (cli, options: RotateAuthorityArguments) =>
        (await import("./rotate.ts")).rotateAuthority(cli, options)
      ),
    );
}
