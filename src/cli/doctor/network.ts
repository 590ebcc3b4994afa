import { formatHostPort, parseHostPort } from "../../config/address.ts";
import type { Config } from "../../config/config.ts";
import { commandOutput } from "../../host/command_output.ts";
import { fetchCertificateChain } from "../../link/tls_fetch.ts";
import { fingerprint } from "../../identity/fingerprint.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

/** Room that kept every packet on a host at full load; docs/operations.md, "Run a gateway". */
export const RECEIVE_BYTES_WANTED = 4 * 1024 * 1024;
const ANY_ADDRESS: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
const LOOK_MS = 3_000;

/** Ports of a site whose gateway does not answer: free, or held by something else. */
export function checkFreePorts(config: Config): Finding[] {
  const findings: Finding[] = [];
  for (
    const [name, transport, address] of [
      ["link port (UDP)", "udp", config.link],
      ["link port (TCP)", "tcp", config.link],
      ["API port", "tcp", config.http],
    ] as const
  ) {
    const at = parseHostPort(address)!;
    const problem = at.port === 0 ? null : bindProblem(transport, at);
    findings.push(
      problem === null ? ok(name, `${address} is free`) : fail(
        name,
        `${address}: ${problem}`,
        `Stop what holds it (ss -ltunp), or change it in ${config.path}; a gateway that hangs ` +
          "holds it, too",
      ),
    );
  }
  return findings;
}

function bindProblem(transport: "udp" | "tcp", at: { hostname: string; port: number }) {
  try {
    if (transport === "tcp") Deno.listen(at).close();
    else Deno.listenDatagram({ transport: "udp", ...at }).close();
    return null;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return "another program listens there";
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether the link address of the running gateway shows this site over TCP. */
export async function checkOwnLink(link: string, ownFingerprint: string): Promise<Finding> {
  const check = "link port (TCP)";
  const listed = parseHostPort(link)!;
  const address = { ...listed, hostname: ANY_ADDRESS[listed.hostname] ?? listed.hostname };
  try {
    const chain = await fetchCertificateChain(address, LOOK_MS);
    if (chain.some((der) => fingerprint(der) === ownFingerprint)) {
      return ok(check, `${link} shows this site`);
    }
    return fail(
      check,
      `${formatHostPort(address)} shows another site`,
      "Another gateway has this port: stop it, or change `link`",
    );
  } catch (error) {
    return fail(
      check,
      `${formatHostPort(address)} does not answer: ${(error as Error).message}`,
      "Restart the gateway; check a firewall of this host",
    );
  }
}

/** The kernel's buffers for what comes in. */
export async function checkReceiveBuffers(): Promise<Finding> {
  const read = async (name: string) => {
    const text = await commandOutput("cat", [`/proc/sys/net/core/${name}`]).catch(() => null);
    return text === null ? null : Number(text);
  };
  return judgeReceiveBuffers(await read("rmem_default"), await read("rmem_max"));
}

export function judgeReceiveBuffers(
  defaultBytes: number | null,
  maxBytes: number | null,
): Finding {
  const check = "receive buffers";
  const seen = `net.core.rmem_default ${defaultBytes ?? "unknown"}, rmem_max ${
    maxBytes ?? "unknown"
  }`;
  if (defaultBytes === null) return warn(check, seen, "Only Linux says what they are");
  // Up to the maximum the gateway's sockets ask for room themselves.
  if (Math.max(defaultBytes, maxBytes ?? 0) >= RECEIVE_BYTES_WANTED) return ok(check, seen);
  return warn(
    check,
    `${seen}: a busy host loses packets`,
    `sysctl -w net.core.rmem_max=${RECEIVE_BYTES_WANTED}, and net.core.rmem_default too where the ` +
      "gateway may not call the C library; then restart it",
  );
}
