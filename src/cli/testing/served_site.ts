import type { GatewayService } from "../../gateway/service.ts";
import { createApp } from "../../http/app.ts";
import { fakeService } from "../../http/testing/fake_service.ts";
import { oneToken } from "../../http/testing/one_token.ts";
import { VirtualClock } from "../../testing/virtual_clock.ts";
import { runProgram } from "../program.ts";

/** What a command left behind. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command in this process, without a site of its own. */
export async function runCommand(...args: string[]): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runProgram(args, {
    terminal: {
      print: (line) => out.push(line),
      note: (line) => err.push(line),
      redraw: null,
      columns: () => 80,
    },
    clock: new VirtualClock(),
    configPath: undefined,
  });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

/** A site whose API is served and whose gateway only remembers what it was asked (`fakeService`). */
export async function withServedSite(
  overrides: Partial<GatewayService>,
  body: (site: {
    /** Runs a command with the site's configuration. */
    readonly run: (...args: string[]) => Promise<Ran>;
    /** What the service was asked, oldest first. */
    readonly calls: readonly [string, ...unknown[]][];
    readonly directory: string;
  }) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "cw-cli-" });
  const { service, calls } = fakeService(overrides);
  let token = "";
  const app = createApp({
    service,
    authorized: (header, address) => oneToken(token)(header, address),
    clock: new VirtualClock(),
    log: () => {},
    processFigures: () => ({ residentBytes: 1, heapBytes: 1, cpuSeconds: 1, startedAtSeconds: 1 }),
    profiles: () => Promise.resolve([]),
  });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, app.fetch);
  try {
    const { port } = server.addr as Deno.NetAddr;
    const site = `${directory}/west`;
    await runCommand("init", "--site", "west", "--dir", site, "--http", `127.0.0.1:${port}`);
    token = (await Deno.readTextFile(`${site}/api-token`)).trim();
    const run = (...args: string[]) => runCommand(...args, "--config", `${site}/causeway.json`);
    await body({ run, calls, directory });
  } finally {
    await server.shutdown();
    await Deno.remove(directory, { recursive: true });
  }
}
