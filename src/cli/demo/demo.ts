import { GatewayError } from "../../core/errors.ts";
import { loadProfile } from "../../emulator/load_profile.ts";
import type { WanProfile } from "../../emulator/settings.ts";
import { type Relay, startRelay } from "../../emulator/udp_relay.ts";
import type { MigrationReport } from "../../migration/report.ts";
import type { Cli } from "../cli.ts";
import { ApiClient } from "../client.ts";
import { EXIT, exitCodeOfState } from "../exit_codes.ts";
import { exitCodeOfFailure, noteFailure } from "../failure.ts";
import { formatDuration } from "../format.ts";
import { StopSignal } from "../signals.ts";
import { watch } from "../watch.ts";
import { endMachines, type GatewayProcess, startGatewayProcess } from "./children.ts";
import {
  demoJson,
  demoLines,
  type DemoResult,
  profileText,
  type UnfinishedDemo,
  unfinishedJson,
} from "./demo_report.ts";
import type { DemoMachine, MachineSetting } from "./machine.ts";
import { referenceMachine } from "./reference_machine.ts";
import { makeSite, trust } from "./sites.ts";

/** Options of `causeway demo`. */
export interface DemoArguments {
  readonly guest?: "reference" | "qemu";
  /** A name in wan-profiles/, or a path. */
  readonly profile?: string;
}

const PROFILE_DEFAULT = "transatlantic";
const GUEST_ID = "demo";
/** Socket paths hold 107 bytes, so the directory must be near the root. */
const PARENT_DIRECTORY = "/tmp";

/**
 * `causeway demo`: two gateways in processes of their own, an emulated link between them, and a busy
 * machine that moves over it and then checks itself. Leaves nothing behind, also when it is
 * interrupted.
 *
 * @returns 0 when the machine arrived whole
 */
export async function demo(cli: Cli, options: DemoArguments): Promise<number> {
  using stop = new StopSignal(["SIGINT", "SIGTERM"]);
  const stage = new Stage(cli);
  const profileName = options.profile ?? PROFILE_DEFAULT;
  /** With `--json` the last line says that nothing was verified, whatever went wrong. */
  const printUnfinished = (error: UnfinishedDemo["error"]) => {
    if (!cli.json) return;
    const { report, plainCopyBytes } = stage;
    cli.terminal.print(
      JSON.stringify(unfinishedJson({ report, plainCopyBytes, profileName, error })),
    );
  };
  try {
    const profile = await loadProfile(profileName);
    const result = await untilStopped(perform(stage, profile, options, stop.signal), stop.signal);
    if (result === null) {
      stage.say("interrupted: cleaning up");
      printUnfinished(null);
      return EXIT.cancelled;
    }
    for (const line of demoLines(result)) stage.show(line);
    if (cli.json) cli.terminal.print(JSON.stringify(demoJson(result)));
    const { report, verdict } = result;
    return report.state === "completed"
      ? verdict?.ok ? EXIT.done : EXIT.failed
      : exitCodeOfState(report.state);
  } catch (thrown) {
    const error = noteFailure(cli, thrown);
    for (const line of stage.lastLogLines()) cli.terminal.note(`  ${line}`);
    printUnfinished(error.toJSON());
    return exitCodeOfFailure(thrown);
  } finally {
    await stage.clear();
  }
}

/** Everything that the demo has put up and must take down. */
class Stage {
  readonly gateways: GatewayProcess[] = [];
  relay: Relay | null = null;
  directory: string | null = null;
  /** What is known so far, for a demo that does not come to its end. */
  report: MigrationReport | null = null;
  plainCopyBytes: number | null = null;
  #cleared = false;
  readonly #startMs: number;

  constructor(readonly cli: Cli) {
    this.#startMs = cli.clock.nowMs();
  }

  /** A line with the time since the start. */
  say(text: string): void {
    const elapsed = ((this.cli.clock.nowMs() - this.#startMs) / 1000).toFixed(1);
    this.show(`${elapsed.padStart(5)} s  ${text}`);
  }

  /** A line for people: with `--json`, standard output belongs to programs. */
  show(line: string): void {
    if (this.cli.json) this.cli.terminal.note(line);
    else this.cli.terminal.print(line);
  }

  async startGateway(configPath: string): Promise<GatewayProcess> {
    const gateway = await startGatewayProcess(configPath);
    this.gateways.push(gateway);
    // Taken down while this one was coming up.
    if (this.#cleared) await gateway.stop();
    return gateway;
  }

  /** What the gateways complained about. */
  lastLogLines(): string[] {
    return this.gateways.flatMap((gateway) =>
      gateway.log().split("\n").filter((line) => / level=(?:warn|error) /.test(line)).slice(-5)
    );
  }

  async clear(): Promise<void> {
    this.#cleared = true;
    await Promise.all(this.gateways.map((gateway) => gateway.stop()));
    await this.relay?.close();
    if (this.directory === null) return;
    await endMachines(this.directory);
    await Deno.remove(this.directory, { recursive: true });
  }
}

async function perform(
  stage: Stage,
  profile: WanProfile,
  options: DemoArguments,
  signal: AbortSignal,
): Promise<DemoResult> {
  const { cli } = stage;
  stage.say(`link: ${profileText(profile)}`);
  const directory = stage.directory = await Deno.makeTempDir({
    dir: PARENT_DIRECTORY,
    prefix: "causeway-demo-",
  });
  const [west, east] = [await makeSite("west", directory), await makeSite("east", directory)];
  await trust(east, west);
  const destination = await stage.startGateway(east.configPath);
  const relay = await startRelay({
    profile,
    listen: "127.0.0.1:0",
    to: destination.link,
    seed: 1,
  });
  stage.relay = relay;
  await trust(west, east, relay.address);
  await stage.startGateway(west.configPath);
  stage.say("two gateways, west and east, each trusting the other's identity");

  using atWest = await ApiClient.open(west.configPath);
  using atEast = await ApiClient.open(east.configPath);
  const machine = await makeMachine(options, {
    id: GUEST_ID,
    directories: { source: west.directory, incoming: east.directory },
    clock: cli.clock,
  });
  stage.plainCopyBytes = machine.plainCopyBytes;
  const put = (client: ApiClient, side: "source" | "incoming") =>
    client.request("PUT", `/v1/guests/${GUEST_ID}`, machine.definition(side));
  await Promise.all([put(atWest, "source"), put(atEast, "incoming")]);
  await machine.whenBusy(signal);
  stage.say(`${machine.title} is at work in west; east awaits it`);

  const started = await atWest.post<MigrationReport>("/v1/migrations", {
    guest: GUEST_ID,
    to: east.name,
  });
  stage.report = started;
  stage.say(`both machines fit each other; the move ${started.id} begins`);
  const report = await watch(atWest, started.id, {
    clock: cli.clock,
    // With --json the progress belongs to people, too: on standard error.
    terminal: cli.json ? { ...cli.terminal, print: cli.terminal.note, redraw: null } : cli.terminal,
    quiet: false,
    onPhase: (phase) => stage.say(phase),
    stop: signal,
  });
  if (report === null) throw new DOMException("The demo was interrupted", "AbortError");
  stage.report = report;
  const { forward, backward } = relay.counters();
  const networkBytes = forward.wireBytes + backward.wireBytes;
  if (report.state !== "completed") {
    if (report.error) {
      const { code, message, hint } = report.error;
      throw new GatewayError(code as GatewayError["code"], message, { hint });
    }
    return { report, verdict: null, plainCopyBytes: machine.plainCopyBytes, networkBytes, profile };
  }
  const verifyMs = cli.clock.nowMs();
  const verdict = await machine.verify(atEast);
  const took = formatDuration(cli.clock.nowMs() - verifyMs);
  stage.say(`the machine in east has checked itself (${took})`);
  return { report, verdict, plainCopyBytes: machine.plainCopyBytes, networkBytes, profile };
}

async function makeMachine(
  { guest }: DemoArguments,
  setting: MachineSetting,
): Promise<DemoMachine> {
  if (guest !== "qemu") return referenceMachine(setting);
  return await (await import("./qemu_machine.ts")).qemuMachine(setting);
}

/** The work's result; null as soon as it is to stop, whatever the work is at. */
function untilStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => resolve(null), { once: true });
    work.then(resolve, reject);
  });
}
