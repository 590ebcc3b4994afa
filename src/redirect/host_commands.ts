import { GatewayError } from "../core/errors.ts";

/** How `ip` says that what is to be removed is not there. */
const ABSENT =
  /No such process|No such file or directory|Cannot find device|FIB table does not exist|Command failed/;

/** A network device of the host. */
export interface HostDevice {
  readonly index: number;
  readonly mac: string;
}

/** How a program has ended. */
export interface CommandEnd {
  readonly success: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** Commands that look at the host's network and change it. */
export class HostCommands {
  /** @param prefix goes before each program, such as `ip netns exec NAME` in tests */
  constructor(private readonly prefix: readonly string[] = []) {}

  /** Runs one program to its end. @throws {GatewayError} `redirect_failed`, with what it said */
  async run(command: readonly string[], input: string | null = null): Promise<string> {
    const { success, stdout, stderr } = await this.attempt(command, input);
    if (success) return stdout;
    throw failed(command, stderr.trim() || "it failed and said nothing");
  }

  /** Runs `ip` commands, those of a family in one process and in order, until one fails. */
  async ipBatch(commands: readonly (readonly string[])[]): Promise<void> {
    await Promise.all(
      byFamily(commands).map(({ family, lines }) => this.run(["ip", family, "-batch", "-"], lines)),
    );
  }

  /** Runs `ip` commands that remove; what was not there is no failure. */
  async ipRemove(commands: readonly (readonly string[])[]): Promise<void> {
    // `ip neigh` ends the whole batch where there is nothing to remove, `-force` or not: what comes
    // after it would stay.
    const alone = commands.filter(([, object]) => object === "neigh");
    const others = commands.filter(([, object]) => object !== "neigh");
    const batches = [...byFamily(others), ...alone.flatMap((command) => byFamily([command]))];
    await Promise.all(
      batches.map(async ({ family, lines }) => {
        const command = ["ip", family, "-force", "-batch", "-"];
        const { stderr } = await this.attempt(command, lines);
        const problem = stderr.split("\n").find((line) => line.trim() !== "" && !ABSENT.test(line));
        if (problem !== undefined) throw failed(command, problem.trim());
      }),
    );
  }

  /** Null where there is no device of that name. */
  async deviceOf(name: string): Promise<HostDevice | null> {
    const command = ["ip", "-json", "link", "show", "dev", name];
    const { success, stdout } = await this.attempt(command, null);
    if (!success) return null;
    const [{ ifindex, address }] = JSON.parse(stdout);
    return { index: ifindex, mac: address ?? "00:00:00:00:00:00" };
  }

  /** A setting of the kernel below `/proc/sys/net/`, trimmed; null where it does not exist. */
  async setting(path: string): Promise<string | null> {
    // By a program: the runtime opens nothing below /proc without every permission.
    const { success, stdout } = await this.attempt(["cat", `/proc/sys/net/${path}`], null);
    return success ? stdout.trim() : null;
  }

  /** @throws {GatewayError} `redirect_failed` */
  async setSetting(path: string, value: string): Promise<void> {
    await this.run(["tee", `/proc/sys/net/${path}`], value);
  }

  /** Runs one program to its end, however it ends. @throws {GatewayError} it cannot be run */
  async attempt(command: readonly string[], input: string | null): Promise<CommandEnd> {
    const [program, ...args] = [...this.prefix, ...command];
    let child: Deno.ChildProcess;
    try {
      child = new Deno.Command(program, {
        args,
        stdin: input === null ? "null" : "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
    } catch (error) {
      throw failed(command, error instanceof Error ? error.message : String(error));
    }
    if (input !== null) {
      const writer = child.stdin.getWriter();
      // One that ends before it has read everything says why on its error output.
      await writer.write(new TextEncoder().encode(input)).catch(() => {});
      await writer.close().catch(() => {});
    }
    const { success, stdout, stderr } = await child.output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { success, stdout: text(stdout), stderr: text(stderr) };
  }
}

/** Each command begins with its family, `-4` or `-6`, which a batch has as a whole. */
function byFamily(commands: readonly (readonly string[])[]): { family: string; lines: string }[] {
  return ["-4", "-6"].map((family) => ({
    family,
    lines: commands.filter(([first]) => first === family)
      .map(([, ...words]) => `${words.join(" ")}\n`).join(""),
  })).filter(({ lines }) => lines !== "");
}

function failed(command: readonly string[], said: string): GatewayError {
  return new GatewayError("redirect_failed", `Cannot run "${command.join(" ")}": ${said}`, {
    hint: "Redirects need root (or CAP_NET_ADMIN) and the commands ip and, for counters, nft",
  });
}
