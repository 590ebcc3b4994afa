import { DEVICE } from "../bytes/arena.ts";

/** What a namespace's kernel has counted of UDP so far. */
export interface UdpCounts {
  /**
   * Datagrams that came out of the link, whether their socket had room for them or not, or was closed
   * by then: the receiving end of a test may end some ms before the last of them.
   */
  readonly arrived: number;
  /** Of them, those that no socket had room for. */
  readonly unread: number;
  /** Packets that the link's device had no room for, so that they never got to the link. */
  readonly unsent: number;
}

/**
 * Counts of the kernel, which know a test's datagrams from the conversation of its two ends: that
 * crosses the same link over TCP, some 20 to 40 packets.
 */
export async function udpCounts(netns: string): Promise<UdpCounts> {
  const udp = udpOf(await textIn(netns, "/proc/net/snmp"));
  const { InDatagrams: read, InErrors: unread, NoPorts: late } = udp;
  const dropped = await textIn(netns, `/sys/class/net/${DEVICE}/statistics/tx_dropped`);
  return { arrived: read + unread + late, unread, unsent: Number(dropped) };
}

/** The two lines of UDP in `/proc/net/snmp`: names, then values. */
function udpOf(snmp: string): Record<string, number> {
  const [names, values] = snmp.split("\n").filter((line) => line.startsWith("Udp:"))
    .map((line) => line.trim().split(/\s+/).slice(1));
  return Object.fromEntries(names.map((name, at) => [name, Number(values[at])]));
}

async function textIn(netns: string, path: string): Promise<string> {
  const { stdout, success } = await new Deno.Command("ip", {
    args: ["netns", "exec", netns, "cat", path],
    stdin: "null",
  }).output();
  if (!success) throw new Error(`Cannot read ${path} in the namespace ${netns}`);
  return new TextDecoder().decode(stdout);
}
