import { Command, CommanderError, Option } from "commander";
import type { Clock } from "../core/clock.ts";
import type { EmulateOptions } from "../emulator/emulate_command.ts";
import { addAccessCommands } from "./access_commands.ts";
import { oneOf, wholeNumber } from "./arguments.ts";
import type { Cli } from "./cli.ts";
import type { DemoArguments } from "./demo/demo.ts";
import { LOG_LEVELS } from "../host/log.ts";
import type { DoctorArguments } from "./doctor/doctor.ts";
import type { RedirectsOptions } from "./redirects.ts";
import { EXIT } from "./exit_codes.ts";
import type { ExperimentArguments } from "./experiment.ts";
import { reportFailure, usageFailure } from "./failure.ts";
import type { GatewayArguments } from "./gateway.ts";
import type { InitArguments } from "./init.ts";
import { addMoveCommands } from "./move_commands.ts";
import type { Terminal } from "./terminal.ts";
import type { TrustArguments } from "./trust.ts";

const CONFIG_DEFAULT = "./causeway.json";

/** What the command line needs of the process. */
export interface Environment {
  readonly terminal: Terminal;
  readonly clock: Clock;
  /** `$CAUSEWAY_CONFIG`. */
  readonly configPath: string | undefined;
}

/**
 * Reads the arguments and runs the command that they name.
 *
 * Commands are loaded when they are run: `status` should not wait for the gateway's modules.
 *
 * @returns the exit code (contract, Commands)
 */
export async function runProgram(
  args: readonly string[],
  environment: Environment,
): Promise<number> {
  const { terminal, clock } = environment;
  let exitCode: number = EXIT.done;
  const program = new Command("causeway")
    .description("Moves running machines between two sites over a slow and lossy network.")
    .option("--config <file>", "the site's configuration (else $CAUSEWAY_CONFIG, ./causeway.json)")
    .option("--token-file <file>", "a file with the API token (else the configuration's)")
    .option("--json", "print the answer as one line of JSON")
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .configureOutput({
      // Its default asks variables of the environment that no task may read.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
    });

  /** Runs `command` with the options of its own and those of all commands. */
  const run = <A extends unknown[]>(
    command: (cli: Cli, ...args: A) => Promise<number>,
  ) =>
  async (...args: unknown[]) => {
    // Commander passes the operands, the options, and the command itself.
    const options = program.opts<{ config?: string; json?: boolean; tokenFile?: string }>();
    const cli: Cli = {
      terminal,
      clock,
      json: options.json ?? false,
      configPath: options.config ?? environment.configPath ?? CONFIG_DEFAULT,
      tokenFile: options.tokenFile,
    };
    try {
      exitCode = await command(cli, ...args.slice(0, -1) as A);
    } catch (error) {
      exitCode = reportFailure(cli, error);
    }
  };

  program.command("init")
    .description("make a site: its identity, configuration and API token")
    .requiredOption("--site <name>", "name of the site")
    .requiredOption("--dir <dir>", "an empty or new directory")
    .option("--link <addr>", "where peers reach this gateway, HOST:PORT (0.0.0.0:7420)")
    .option("--http <addr>", "where the API is served, HOST:PORT (127.0.0.1:7421)")
    .action(
      run(async (cli, options: InitArguments) => (await import("./init.ts")).init(cli, options)),
    );

  program.command("trust")
    .description("add a peer by its certificate, or by its fingerprint at first contact")
    .requiredOption("--peer <name>", "your name for it; the site's own name is best")
    .option("--certificate <file>", "the site.crt of the peer")
    .option("--fingerprint <sha256>", "fetch the certificate from --address and compare")
    .option("--address <addr>", "HOST:PORT of its link; without it the peer is never dialled")
    .option("--add", "trust this certificate beside what the peer has, while it changes over")
    .option("--replace", "make one of the certificates that it has the only one")
    .action(
      run(async (cli, options: TrustArguments) => (await import("./trust.ts")).trust(cli, options)),
    );

  program.command("gateway")
    .description("run the gateway of this site")
    .option(
      "--log-level <level>",
      `what is logged: ${LOG_LEVELS.join(", ")} (info) and above`,
      oneOf(...LOG_LEVELS),
    )
    .action(
      run(async (cli, options: GatewayArguments) =>
        (await import("./gateway.ts")).gateway(cli, options)
      ),
    );

  addMoveCommands(program, run);

  const guests = program.command("guests")
    .description("the machines of this site")
    .action(run(async (cli) => (await import("./guests.ts")).listGuests(cli)));
  guests.command("add <id>")
    .description("attach or launch a machine")
    .requiredOption("--definition <json>", "a JSON object, or the path of a file with one")
    .action(
      run(async (cli, id: string, options: { definition: string }) =>
        (await import("./guests.ts")).addGuest(cli, id, options)
      ),
    );
  guests.command("remove <id>")
    .description("forget a machine, which goes on")
    .option("--end", "end the machine, too")
    .action(
      run(async (cli, id: string, options: { end?: boolean }) =>
        (await import("./guests.ts")).removeGuest(cli, id, options)
      ),
    );
  guests.command("verify <id>")
    .description("have a reference machine check its own memory and disks")
    .action(run(async (cli, id: string) => (await import("./guests.ts")).verifyGuest(cli, id)));

  const peers = program.command("peers")
    .description("the trusted peers and the links to them")
    .action(run(async (cli) => (await import("./peers.ts")).peers(cli)));
  peers.command("limit <peer>")
    .description("cap everything that goes to a peer, until the gateway ends")
    .requiredOption("--rate <rate>", "as of `migrate`: a figure, schedule:FILE.json, or none")
    .action(
      run(async (cli, name: string, options: { rate: string }) =>
        (await import("./peers.ts")).limitPeer(cli, name, options)
      ),
    );
  addAccessCommands(program, run);
  program.command("doctor")
    .description("check this site, and say what to do about what is wrong")
    .option("--peer <name>", "look at this peer only")
    .action(
      run(async (cli, options: DoctorArguments) =>
        (await import("./doctor/doctor.ts")).doctor(cli, options)
      ),
    );
  program.command("redirects")
    .description("addresses that follow their machine")
    .option("--commands <guest>", "a dry run: what a move of this machine would do here")
    .option("--history", "with what has happened to each")
    .option("--keep <migration>", "answer its question: the machine stays where it is")
    .option("--bring-back <migration>", "answer its question: the move is rolled back")
    .action(
      run(async (cli, options: RedirectsOptions) =>
        (await import("./redirects.ts")).redirects(cli, options)
      ),
    );

  program.command("emulate")
    .description("run the UDP link emulator between two gateways")
    .requiredOption("--profile <file>", "a name in wan-profiles/, or a path")
    .requiredOption("--listen <addr>", "where packets come in, HOST:PORT")
    .requiredOption("--to <addr>", "where they go, HOST:PORT")
    .addOption(
      // Nothing listens then, so nobody has to say where.
      new Option(
        "--print-tc",
        "print the profile as `tc` commands for a router with netem, and end",
      )
        .implies({ listen: "", to: "" }),
    )
    .option("--seed <n>", "chooses losses and jitter (1)", wholeNumber)
    .option("--counters <file>", "rewritten every second with what the link did")
    .action(
      run(async (cli, options: EmulateOptions) =>
        (await import("../emulator/emulate_command.ts")).emulate({ ...options, json: cli.json }, {
          print: (line) => cli.terminal.print(line),
        })
      ),
    );

  program.command("demo")
    .description("two gateways, an emulated WAN and a busy guest in one go")
    .option("--guest <kind>", "reference (default) or qemu", oneOf("reference", "qemu"))
    .option("--profile <name>", "a name in wan-profiles/, or a path (transatlantic)")
    .action(
      run(async (cli, options: DemoArguments) =>
        (await import("./demo/demo.ts")).demo(cli, options)
      ),
    );

  const experiment = program.command("experiment")
    .description("run a scenario file and write its report; the same command continues it")
    .argument("<file>", "a scenario, such as experiments/small.json")
    // Commander would ask the commands below for a required one, too.
    .option("--out <dir>", "where rows, report and plots go (./NAME-results)")
    .option("--retry-failed", "run cells that failed once more")
    .action(
      run(async (cli, file: string, options: ExperimentArguments) =>
        (await import("./experiment.ts")).experiment(cli, file, options)
      ),
    );
  experiment.command("compare <a> <b>")
    .description("what changed beyond the spread from one folder of results to another")
    .action(
      run(async (cli, a: string, b: string) =>
        (await import("./experiment.ts")).experimentCompare(cli, a, b)
      ),
    );
  experiment.command("report <dir>")
    .description("write the report of a folder of results once more")
    .action(
      run(async (cli, directory: string) =>
        (await import("./experiment.ts")).experimentReport(cli, directory)
      ),
    );

  try {
    await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT.done;
    // Asked of the arguments themselves: the parser may have stopped before it came to the option.
    if (args.includes("--json")) {
      terminal.print(JSON.stringify({ error: usageFailure(error.message).toJSON() }));
    }
    return EXIT.usage;
  }
  return exitCode;
}
