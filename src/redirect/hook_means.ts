import { GatewayError } from "../core/errors.ts";
import type { MeansSettings } from "../guest/addresses.ts";
import { runHook } from "../host/hook.ts";
import type { Means, Target } from "./means.ts";

export type HookSettings = Extract<MeansSettings, { kind: "hook" }>;

/** What the command reads on its standard input, as JSON on one line (docs/operations.md). */
export function hookInput(target: Target) {
  const { stage, previous, side, guest, migration, site, peer, isHome, addresses } = target;
  return {
    version: 1 as const,
    stage,
    previous,
    side,
    guest,
    migration,
    site,
    peer,
    isHome,
    addresses,
  };
}

/** The site's own way: a command that is told each stage (BGP, EVPN, a cloud's API). */
export class HookMeans implements Means {
  readonly kind = "hook";

  constructor(
    private readonly settings: HookSettings,
    private readonly run: typeof runHook = runHook,
  ) {}

  check(): Promise<void> {
    return Promise.resolve();
  }

  async apply(target: Target): Promise<string> {
    const { command, timeoutMs } = this.settings;
    const outcome = await this.run(command, timeoutMs, hookInput(target));
    if (outcome.exitCode === 0) return outcome.output;
    const how = outcome.exitCode === null
      ? "did not end by itself"
      : `ended with ${outcome.exitCode}`;
    const said = outcome.output || "it said nothing";
    throw new GatewayError("redirect_failed", `Cannot redirect: ${command[0]} ${how}: ${said}`, {
      hint: "It is called again for the same stage until it ends with 0",
    });
  }

  commands(target: Target): string[] {
    return [`${this.settings.command.join(" ")} < ${JSON.stringify(hookInput(target))}`];
  }

  traffic(): Promise<null> {
    return Promise.resolve(null);
  }

  letGo(): Promise<void> {
    return Promise.resolve();
  }
}
