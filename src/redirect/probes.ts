import type { ProbeSettings } from "../guest/addresses.ts";
import { EchoProbe } from "./echo_probe.ts";

/** More than a status line needs. */
const ANSWER_BYTES = 64;

/** Asks a machine by one of its addresses, as a client would. Never rejects. */
export type Probe<S = ProbeSettings> = (
  ip: string,
  settings: S,
  timeoutMs: number,
) => Promise<boolean>;

/** Text of a probe, for people. */
export function probeText(ip: string, settings: ProbeSettings): string {
  const host = ip.includes(":") ? `[${ip}]` : ip;
  switch (settings.kind) {
    case "icmp":
      return `icmp ${ip}`;
    case "neighbour":
      return `${ip.includes(":") ? "neighbour solicitation" : "arp"} ${ip}`;
    case "tcp":
      return `tcp ${host}:${settings.port}`;
    case "http":
      return `http://${host}:${settings.port}${settings.path}`;
  }
}

const echo = new EchoProbe();

/**
 * `icmp`: an echo request is answered. `tcp`: a connection is taken. `http`: a request for the path is answered with a status below 500.
 * From the gateway's own host by its kernel's routes, so by the way that its packets take.
 */
export const probe: Probe<Exclude<ProbeSettings, { kind: "neighbour" }>> = async (
  ip,
  settings,
  timeoutMs,
) => {
  if (settings.kind === "icmp") return await echo.ask(ip, timeoutMs);
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    using conn = await Deno.connect({ hostname: ip, port: settings.port, signal });
    if (settings.kind === "tcp") return true;
    // A read that waits for ever ends with its connection.
    const late = () => conn.close();
    signal.addEventListener("abort", late, { once: true });
    try {
      return await answersHttp(conn, ip, settings.path);
    } finally {
      signal.removeEventListener("abort", late);
    }
  } catch {
    return false;
  }
};

async function answersHttp(conn: Deno.Conn, ip: string, path: string): Promise<boolean> {
  const host = ip.includes(":") ? `[${ip}]` : ip;
  const request = `GET ${path} HTTP/1.0\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  await conn.write(new TextEncoder().encode(request));
  const buffer = new Uint8Array(ANSWER_BYTES);
  let text = "";
  while (text.length < 13) {
    const read = await conn.read(buffer);
    if (read === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, read));
  }
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text);
  return status !== null && Number(status[1]) < 500;
}
