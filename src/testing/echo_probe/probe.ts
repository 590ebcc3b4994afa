import type { NetworkNamespace } from "../netns.ts";
import type { EchoRecord } from "./silence.ts";

const PROCESS = `${import.meta.dirname}/probe_process.ts`;

/** A running probe; disposing it without asking for its record ends it. */
export interface EchoProbe extends AsyncDisposable {
  /** Stops asking and returns what was seen. */
  finish(): Promise<EchoRecord>;
}

/**
 * Sends an ICMP echo request to an IPv4 address every `intervalMs` from inside a namespace, in a
 * process of its own with raised priority: this process' work must not look like a pause of the
 * machine. Needs root.
 */
export function startEchoProbe(
  namespace: NetworkNamespace,
  address: string,
  intervalMs: number,
): EchoProbe {
  const [command, ...args] = namespace.argv(
    ...["nice", "-n", "-10", Deno.execPath(), "run", "--no-config", "--no-check", "--allow-ffi"],
    ...[PROCESS, address, String(intervalMs)],
  );
  const child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped" }).spawn();
  let finished: Promise<EchoRecord> | null = null;
  const finish = async () => {
    await child.stdin.close();
    const { success, stdout } = await child.output();
    if (!success) throw new Error("The echo probe failed");
    return JSON.parse(new TextDecoder().decode(stdout)) as EchoRecord;
  };
  return {
    finish: () => finished ??= finish(),
    async [Symbol.asyncDispose]() {
      await (finished ??= finish()).catch(() => {});
    },
  };
}
