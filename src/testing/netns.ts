/**
 * Network namespaces, veth pairs, bridges and TAP devices for tests, by the `ip` command (root).
 * Everything hangs on its namespace: disposing that removes all.
 */

/** Set by tests/run.ts for its children, so that it can remove what a crashed test left. */
const RUN_TOKEN = Deno.env.get("CAUSEWAY_TEST_RUN") ?? Deno.pid.toString(36);

/** Names of namespaces that tests of one run make begin with this. */
export function namespacePrefix(runToken: string): string {
  return `cw-${runToken}-`;
}

/** A namespace that lives until it is removed or disposed. */
export interface NetworkNamespace extends AsyncDisposable {
  readonly name: string;
  /** The command line that runs `command` inside; the process keeps its id (exec). */
  argv(...command: string[]): string[];
  /** Runs a command inside to its end and returns its output; throws when it fails. */
  run(...command: string[]): Promise<string>;
  /** `ip ARGUMENTS` about this namespace, without starting a process inside. */
  ip(...args: string[]): Promise<string>;
  remove(): Promise<void>;
}

/** One end of a cable: an interface to be made. */
export interface Interface {
  readonly namespace: NetworkNamespace;
  /** At most 15 characters; unique within the namespace only. */
  readonly name: string;
  /** Addresses with prefix length, IPv4 or IPv6. */
  readonly addresses?: readonly string[];
  readonly mtuBytes?: number;
}

/** Makes an empty namespace with loopback up; `label` shows in its name. */
export async function createNamespace(label: string): Promise<NetworkNamespace> {
  const unique = crypto.randomUUID().slice(0, 6);
  const name = `${namespacePrefix(RUN_TOKEN)}${unique}-${label}`;
  await runCommand(["ip", "netns", "add", name]);
  const namespace = namespaceNamed(name);
  await namespace.ip("link", "set", "lo", "up");
  return namespace;
}

/** One that is there, whoever made it. */
export function namespaceNamed(name: string): NetworkNamespace {
  const argv = (...command: string[]) => ["ip", "netns", "exec", name, ...command];
  return {
    name,
    argv,
    run: (...command) => runCommand(argv(...command)),
    ip: (...args) => runCommand(["ip", "-n", name, ...args]),
    remove: () => removeNamespace(name),
    [Symbol.asyncDispose]: () => removeNamespace(name),
  };
}

/** Removes a namespace by name; one that is gone already is fine. */
export async function removeNamespace(name: string): Promise<void> {
  if ((await listNamespaces()).includes(name)) await runCommand(["ip", "netns", "delete", name]);
}

/** Names of all namespaces of this machine that `ip` knows. */
export async function listNamespaces(): Promise<string[]> {
  const text = await runCommand(["ip", "netns", "list"]);
  return text.split("\n").map((line) => line.split(" ")[0]).filter((name) => name !== "");
}

/** Lays a cable between two namespaces, both ends up. */
export async function connect(left: Interface, right: Interface): Promise<void> {
  await runCommand([
    ...["ip", "link", "add", left.name, "netns", left.namespace.name, "type", "veth"],
    ...["peer", "name", right.name, "netns", right.namespace.name],
  ]);
  await configure(left);
  await configure(right);
}

/** A learning bridge without spanning tree; a forward delay would eat the first 30 s. */
export async function addBridge(bridge: Interface): Promise<void> {
  await bridge.namespace.ip(
    ...["link", "add", bridge.name, "type", "bridge", "stp_state", "0", "forward_delay", "0"],
  );
  await configure(bridge);
}

/** A TAP device for QEMU, plugged into the bridge of that name if one is given. */
export async function addTap(tap: Interface, bridgeName?: string): Promise<void> {
  await tap.namespace.ip("tuntap", "add", "dev", tap.name, "mode", "tap");
  if (bridgeName !== undefined) await plug(tap.namespace, tap.name, bridgeName);
  await configure(tap);
}

/** Makes an existing interface a port of a bridge. */
export async function plug(
  namespace: NetworkNamespace,
  interfaceName: string,
  bridgeName: string,
): Promise<void> {
  await namespace.ip("link", "set", interfaceName, "master", bridgeName);
}

async function configure({ namespace, name, addresses, mtuBytes }: Interface): Promise<void> {
  if (mtuBytes !== undefined) await namespace.ip("link", "set", name, "mtu", String(mtuBytes));
  for (const address of addresses ?? []) {
    // Without nodad an IPv6 address cannot be used for its first seconds.
    const flags = address.includes(":") ? ["nodad"] : [];
    await namespace.ip("addr", "add", address, "dev", name, ...flags);
  }
  await namespace.ip("link", "set", name, "up");
}

async function runCommand([command, ...args]: readonly string[]): Promise<string> {
  const result = await new Deno.Command(command, { args, stdin: "null" }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!result.success) {
    throw new Error(
      `"${[command, ...args].join(" ")}" ended with ${result.code}: ${text(result.stderr).trim()}`,
    );
  }
  return text(result.stdout);
}
