import { HostCommands } from "./host_commands.ts";

/** Between two echo requests of one run; the answer to any of them ends it. */
const INTERVAL_SECONDS = "0.05";

/**
 * ICMP echo by the host's own `ping`, IPv4 and IPv6. Deno has no ICMP; a socket of the C library needs
 * rights that differ by host (`net.ipv4.ping_group_range`), which `ping` brings along.
 *
 * One run asks again and again by itself, so that many questions at once are one process.
 */
export class EchoProbe {
  readonly #running = new Map<string, Promise<boolean>>();

  constructor(private readonly host: Pick<HostCommands, "attempt"> = new HostCommands()) {}

  /** Whether one was answered within the time, in whole seconds. Never rejects. */
  ask(ip: string, timeoutMs: number): Promise<boolean> {
    const running = this.#running.get(ip);
    if (running) return running;
    const seconds = `${Math.max(1, Math.ceil(timeoutMs / 1000))}`;
    const command = ["ping", "-n", "-q", "-i", INTERVAL_SECONDS, "-c", "1", "-w", seconds, ip];
    const run = this.host.attempt(command, null).then(({ success }) => success, () => false)
      .finally(() => this.#running.delete(ip));
    this.#running.set(ip, run);
    return run;
  }
}
