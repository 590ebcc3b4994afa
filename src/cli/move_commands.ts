import type { Command } from "commander";
import type { AdjudicateArguments } from "./act.ts";
import { ACTIONS } from "./actions.ts";
import { oneOf, wholeNumber } from "./arguments.ts";
import type { AnswerArguments } from "./change.ts";
import type { Cli } from "./cli.ts";
import type { MigrateArguments } from "./migrate.ts";
import type { PlanArguments } from "./plan.ts";
import { RATE_FORMS } from "./rate_text.ts";
import type { WishArguments } from "./wishes.ts";

/** Makes an action of the parser from a command. */
export type Run = <A extends unknown[]>(
  command: (cli: Cli, ...args: A) => Promise<number>,
) => (...args: unknown[]) => Promise<void>;

interface WatchOption {
  readonly watch?: boolean;
}

const DOWNTIME = "longest pause that is fine (300)";
const WHEN_OVER = "what is tried when the pause does not fit, in this order: throttleDisks, " +
  "throttleCpu, ask, wait (default), giveUp";

const SUMMARIES: Record<keyof typeof ACTIONS, string> = {
  cancel: "give a move up; the machine runs on at the source",
  switchover: "switch a held move over now",
  hold: "keep a move in sync without switching over",
  rollback: "bring the machine back to the source",
};

/** Commands about moves: to plan, start, watch and steer them. */
export function addMoveCommands(program: Command, run: Run): void {
  program.command("plan <guest>")
    .description("watch a machine, probe the path, and forecast duration, bytes and downtime")
    .requiredOption("--to <peer>", "where to")
    .option("--seconds <n>", "how long the machine is watched (4)", wholeNumber)
    .option("--strategy <name>", "only this one: precopy, stop-and-copy or seed")
    .option("--max-downtime <ms>", DOWNTIME, wholeNumber)
    .option("--rate <rate>", `how fast at most: ${RATE_FORMS}`)
    .option("--when-over <list>", WHEN_OVER)
    .action(
      run(async (cli, guest: string, options: PlanArguments) =>
        (await import("./plan.ts")).plan(cli, guest, options)
      ),
    );

  const migrate = program.command("migrate <guest>")
    .description("move a machine to a peer")
    .requiredOption("--to <peer>", "where to")
    .option("--strategy <name>", "precopy (default), stop-and-copy, or seed (copy, do not move)")
    .option("--hold", "stay in sync and wait for `causeway switchover`, or for --window");
  addWishOptions(migrate)
    .option("--handover <kind>", "fast (default) or confirmed")
    .option("--keep-source", "leave the old machine standing instead of ending it")
    .option("--watch", "show progress until the move has ended")
    .action(
      run(async (cli, guest: string, options: MigrateArguments) =>
        (await import("./migrate.ts")).migrate(cli, guest, options)
      ),
    );

  program.command("status [id]")
    .description("the migrations of this site, or one of them")
    .option("--watch", "show progress until it has ended")
    .action(
      run(async (cli, id: string | undefined, options: WatchOption) =>
        (await import("./status.ts")).status(cli, id, options)
      ),
    );

  const change = program.command("change <id>")
    .description("other wishes for a move that runs; what is not given stays")
    .option("--hold", "stay in sync and wait")
    .option("--no-hold", "switch as soon as the pause fits");
  addWishOptions(change)
    .action(
      run(async (cli, id: string, options: WishArguments) =>
        (await import("./change.ts")).change(cli, id, options)
      ),
    );

  program.command("answer <id>")
    .description("answer what a move asks: whether it may pause for longer")
    .option("--accept", "yes, for as long as it asks for")
    .option("--max-downtime <ms>", "yes, for this long", wholeNumber)
    .option("--refuse", "no; the next remedy of --when-over is tried")
    .action(
      run(async (cli, id: string, options: AnswerArguments) =>
        (await import("./change.ts")).answerMove(cli, id, options)
      ),
    );

  for (const action of Object.keys(ACTIONS) as (keyof typeof ACTIONS)[]) {
    program.command(`${action} <id>`)
      .description(SUMMARIES[action])
      .option("--watch", "show progress until it has ended")
      .action(
        run(async (cli, id: string, options: WatchOption) =>
          (await import("./act.ts")).act(cli, action, id, options)
        ),
      );
  }

  program.command("adjudicate <id>")
    .description("decide which site may run a machine that is in doubt")
    .requiredOption("--owner <site>", "the site that may run it from now on")
    .requiredOption("--reason <text>", "why; it is recorded")
    .option("--force", "although the other side could be asked")
    .action(
      run(async (cli, id: string, options: AdjudicateArguments) =>
        (await import("./act.ts")).adjudicate(cli, id, options)
      ),
    );
}

/** What can be wished of a move when it starts and while it runs. */
function addWishOptions(command: Command): Command {
  return command
    .option("--max-downtime <ms>", DOWNTIME, wholeNumber)
    .option("--rate <rate>", `how fast at most: ${RATE_FORMS}`)
    .option("--weight <n>", "share of the link beside other moves, 1 to 1000 (100)", wholeNumber)
    .option(
      "--priority <name>",
      "which moves go first: low, normal (default) or high",
      oneOf("low", "normal", "high"),
    )
    .option("--when-over <list>", WHEN_OVER)
    .option("--window <from/until>", "when to switch: FROM or FROM/UNTIL with zones, or none")
    .option("--hold-memory <time>", "of a hold: how long memory stays in sync, too (10min)");
}
