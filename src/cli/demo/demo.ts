import type { Cli } from "../cli.ts";

export interface DemoArguments {
  readonly guest?: "reference" | "qemu";
  readonly profile?: string;
}

export function demo(_cli: Cli, _options: DemoArguments): Promise<number> {
  return Promise.resolve(0);
}
