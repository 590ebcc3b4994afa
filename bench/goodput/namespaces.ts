/** Two network namespaces for one measurement; root only. Names begin with `cw-gp-`. */
export interface NamespacePair extends AsyncDisposable {
  readonly left: string;
  readonly right: string;
}

/** Socket buffers in bytes that no path of the profiles fills. */
const SOCKET_BUFFER_BYTES = 16 * 1024 * 1024;

export async function namespacePair(): Promise<NamespacePair> {
  const id = crypto.randomUUID().slice(0, 6);
  const [left, right] = [`cw-gp-${id}l`, `cw-gp-${id}r`];
  for (const name of [left, right]) {
    await run("ip", "netns", "add", name);
    await run("ip", "-n", name, "link", "set", "lo", "up");
    await run(
      ...["ip", "netns", "exec", name, "sysctl", "-qw"],
      `net.ipv4.tcp_wmem=4096 65536 ${SOCKET_BUFFER_BYTES}`,
      `net.ipv4.tcp_rmem=4096 131072 ${SOCKET_BUFFER_BYTES}`,
      "net.ipv4.tcp_no_metrics_save=1",
    );
  }
  return {
    left,
    right,
    async [Symbol.asyncDispose]() {
      for (const name of [left, right]) await run("ip", "netns", "del", name);
    },
  };
}

/**
 * Lets the TCP connections of one namespace over `device` use a congestion control: by route,
 * because the machine's list of allowed ones does not bind routes.
 */
export async function useCongestionControl(
  netns: string,
  device: string,
  network: string,
  name: string,
): Promise<void> {
  await run("ip", "-n", netns, "route", "replace", network, "dev", device, "congctl", name);
}

async function run(...[program, ...args]: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stderr: "piped" }).output();
  if (success) return;
  throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}
