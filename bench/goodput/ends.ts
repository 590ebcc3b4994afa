import { join } from "node:path";
import { initSite } from "../../src/config/init.ts";
import { trustPeer } from "../../src/config/trust.ts";
import { TextLineStream } from "./lines.ts";
import type { EndLine } from "./messages.ts";

export const DEVICE = "wan0";
export const NETWORK = "10.207.1.0/24";
export const LEFT_ADDRESS = "10.207.1.1";
export const RIGHT_ADDRESS = "10.207.1.2";
export const PORT = 7420;

/** Two sites that trust each other; the paths of their configurations. The left one dials. */
export async function makeSites(dir: string): Promise<{ left: string; right: string }> {
  const make = (site: string, address: string) =>
    initSite({ site, dir: join(dir, site), link: `${address}:${PORT}` });
  const left = await make("left", LEFT_ADDRESS);
  const right = await make("right", RIGHT_ADDRESS);
  await trustPeer({
    config: left.configPath,
    peer: "right",
    certificate: right.certificatePath,
    address: `${RIGHT_ADDRESS}:${PORT}`,
  });
  await trustPeer({ config: right.configPath, peer: "left", certificate: left.certificatePath });
  return { left: left.configPath, right: right.configPath };
}

/** One program of a measured transfer. */
export interface RunningEnd {
  readonly listening: Promise<void>;
  /** Everything it printed, once it has ended. */
  readonly lines: Promise<EndLine[]>;
  stop(): void;
}

/** Starts a program of `bench/goodput/`, or one by its path from there, in a namespace. */
export function startEnd(
  netns: string,
  [script, ...args]: readonly string[],
  onLine: (line: EndLine) => void = () => {},
  permissions: readonly string[] = [],
): RunningEnd {
  const path = join(import.meta.dirname as string, script);
  const child = new Deno.Command("ip", {
    args: [
      ...["netns", "exec", netns, Deno.execPath(), "run", "--unstable-net"],
      ...["--allow-net", "--allow-read", "--allow-env", ...permissions, path, ...args],
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  const lines = (async () => {
    const seen: EndLine[] = [];
    for await (const text of child.stdout.pipeThrough(TextLineStream())) {
      const line = JSON.parse(text) as EndLine;
      seen.push(line);
      onLine(line);
      if (line.event === "listening") resolve();
    }
    await child.status;
    return seen;
  })();
  return {
    listening,
    lines,
    stop: () => {
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended by itself.
      }
    },
  };
}
