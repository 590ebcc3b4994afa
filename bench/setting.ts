/** What a result of a bench depends on besides its inputs. */
export interface Setting {
  readonly commit: string;
  readonly deno: string;
  readonly cores: number;
  readonly processor: string;
}

/** Where and of what a bench is run. */
export async function setting(): Promise<Setting> {
  return {
    commit: await commit(),
    deno: Deno.version.deno,
    cores: navigator.hardwareConcurrency,
    processor: await processor(),
  };
}

async function commit(): Promise<string> {
  try {
    const { success, stdout } = await new Deno.Command("git", {
      args: ["describe", "--always", "--dirty"],
      cwd: `${import.meta.dirname}/..`,
    }).output();
    return success ? new TextDecoder().decode(stdout).trim() : "unknown";
  } catch {
    // No git here.
    return "unknown";
  }
}

async function processor(): Promise<string> {
  const text = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  return /^model name\s*: (.*)$/m.exec(text)?.[1] ?? "unknown";
}
