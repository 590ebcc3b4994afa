import type { NetworkNamespace } from "../netns.ts";
import type { ClientRecord } from "./record.ts";

const PROCESS = `${import.meta.dirname}/process.ts`;

/** A running client; disposing it without asking for its record ends it. */
export interface TcpClient extends AsyncDisposable {
  /** Stops and returns what was seen. */
  finish(): Promise<ClientRecord>;
}

/**
 * Starts a client of a machine with one echo and one new connection each so many ms, inside a namespace,
 * in a process of its own with raised priority.
 */
export function startTcpClient(
  namespace: NetworkNamespace,
  address: string,
  ports: { readonly echo: number; readonly download: number; readonly connect: number },
  { echoMs = 10, connectMs = 50 }: { readonly echoMs?: number; readonly connectMs?: number } = {},
): TcpClient {
  const [command, ...args] = namespace.argv(
    ...["nice", "-n", "-5", Deno.execPath(), "run", "--no-config", "--no-check", "--allow-net"],
    ...[PROCESS, address, ports.echo, ports.download, ports.connect, echoMs, connectMs].map(String),
  );
  const child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped" }).spawn();
  let finished: Promise<ClientRecord> | null = null;
  const finish = async () => {
    await child.stdin.close();
    const { success, stdout } = await child.output();
    if (!success) throw new Error("The TCP client failed");
    return JSON.parse(new TextDecoder().decode(stdout)) as ClientRecord;
  };
  return {
    finish: () => finished ??= finish(),
    async [Symbol.asyncDispose]() {
      await (finished ??= finish()).catch(() => {});
    },
  };
}
