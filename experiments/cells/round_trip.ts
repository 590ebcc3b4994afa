import { findStaticBusybox } from "../../src/testing/guest_image/static_busybox.ts";

const COUNT = 5;

/** The least of some pings from a namespace, ms; null where none came back. */
export async function roundTripOf(netns: string, address: string): Promise<number | null> {
  const busybox = findStaticBusybox();
  if (busybox === null) return null;
  const { stdout } = await new Deno.Command("ip", {
    args: ["netns", "exec", netns, busybox, "ping", "-c", String(COUNT), "-i", "0.2", address],
    stdin: "null",
    stderr: "null",
  }).output();
  const least = /min\/avg\/max = ([\d.]+)\//.exec(new TextDecoder().decode(stdout))?.[1];
  return least === undefined ? null : Number(least);
}
