import { GatewayError } from "../core/errors.ts";
import type { DirectionName, DirectionSettings, OutageMode, WanProfile } from "./settings.ts";
import type {
  TunAnswer,
  TunDevice,
  TunProcessCounters,
  TunRequest,
  TunSetup,
} from "./tun_messages.ts";

/**
 * Packets that the kernel keeps for the emulator while it is busy. The default of 500 is 60 ms of a
 * 100 Mbit/s link, less than a neighbour on a shared machine takes at times.
 */
const DEVICE_QUEUE_PACKETS = 5_000;

const PROCESS_URL = new URL("./tun_process.ts", import.meta.url);

/** One end of the link: a new TUN device. */
export interface TunEnd extends TunDevice {
  /** Addresses with prefix length, such as `10.9.0.1/24`. */
  readonly address: string | readonly string[];
}

export interface TunLinkOptions {
  readonly profile: WanProfile;
  readonly left: TunEnd;
  readonly right: TunEnd;
  /** Default 1. */
  readonly seed?: number;
  /** Default 1500. */
  readonly mtuBytes?: number;
}

export interface TunCounters extends TunProcessCounters {
  /** Packets that the kernel dropped because the emulator was too slow to take them. */
  readonly deviceDrops: number;
}

/** A running link; `forward` is from left to right, directions default to both. */
export interface TunLink extends AsyncDisposable {
  counters(): Promise<TunCounters>;
  /** Another profile, its timeline starting now; packets on their way are kept. */
  setProfile(profile: WanProfile): Promise<void>;
  /** Settings that replace the profile's from now on. */
  applyChange(settings: Partial<DirectionSettings>, direction?: DirectionName): Promise<void>;
  /** An outage that starts now; what is already in queue or flight still arrives. */
  outage(durationMs: number, mode?: OutageMode, direction?: DirectionName): Promise<void>;
  /** An outage until `restore`. */
  cut(direction?: DirectionName): Promise<void>;
  restore(direction?: DirectionName): Promise<void>;
  /** Ends the process and with it both devices. */
  close(): Promise<void>;
}

/**
 * Joins two network namespaces by an emulated WAN link at IP level, for everything the kernel
 * sends: TCP, ping, tunnels. The namespaces must exist. Runs in a process of its own, the only one
 * that gets `--allow-ffi`; the caller needs `--allow-run` for Deno and `ip`. Root only.
 *
 * @throws {GatewayError} `tun_unavailable`
 */
export async function startTunLink(options: TunLinkOptions): Promise<TunLink> {
  const { profile, left, right, seed = 1, mtuBytes = 1500 } = options;
  const link = new TunLinkProcess(left, right);
  try {
    const device = ({ netns, device }: TunEnd): TunDevice => ({ netns, device });
    await link.start({ profile, seed, mtuBytes, left: device(left), right: device(right) });
    for (const end of [left, right]) await configure(end, mtuBytes);
  } catch (cause) {
    await link.close();
    if (cause instanceof GatewayError) throw cause;
    throw unavailable(cause instanceof Error ? cause.message : String(cause), cause);
  }
  return link;
}

class TunLinkProcess implements TunLink {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";
  /** Requests go out one after the other, so the next answer is the right one. */
  #last: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | null = null;

  constructor(readonly left: TunEnd, readonly right: TunEnd) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", "--no-config", "--allow-ffi", PROCESS_URL.href],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async start(setup: TunSetup): Promise<void> {
    await this.#exchange(setup);
  }

  async counters(): Promise<TunCounters> {
    const counters = await this.#request({ command: "counters" });
    const drops = await Promise.all([this.left, this.right].map(deviceDrops));
    return { ...counters, deviceDrops: drops[0] + drops[1] };
  }

  async setProfile(profile: WanProfile): Promise<void> {
    await this.#request({ command: "setProfile", profile });
  }

  async applyChange(
    settings: Partial<DirectionSettings>,
    direction?: DirectionName,
  ): Promise<void> {
    await this.#request({ command: "applyChange", settings, direction });
  }

  async outage(
    durationMs: number,
    mode: OutageMode = "drop",
    direction?: DirectionName,
  ): Promise<void> {
    const finiteMs = durationMs === Infinity ? null : durationMs;
    await this.#request({ command: "outage", durationMs: finiteMs, mode, direction });
  }

  async cut(direction?: DirectionName): Promise<void> {
    await this.outage(Infinity, "drop", direction);
  }

  async restore(direction?: DirectionName): Promise<void> {
    await this.#request({ command: "restore", direction });
  }

  close(): Promise<void> {
    return this.#closing ??= (async () => {
      await this.#last.catch(() => {});
      // The process ends with its input; one that has ended already has closed it.
      await this.#input.close().catch(() => {});
      await this.#lines.cancel();
      await this.#child.status;
    })();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #request(request: TunRequest): Promise<TunProcessCounters> {
    const answer = await this.#exchange(request);
    if (answer.event !== "done") throw unavailable(`unexpected answer ${answer.event}`);
    return answer.counters;
  }

  #exchange(message: TunSetup | TunRequest): Promise<TunAnswer> {
    const answer = this.#last.catch(() => {}).then(async () => {
      if (this.#closing) throw unavailable("the link is closed");
      const bytes = new TextEncoder().encode(JSON.stringify(message) + "\n");
      // A process that has ended says why on its output.
      await this.#input.write(bytes).catch(() => {});
      const answer: TunAnswer = JSON.parse(await this.#readLine());
      if (answer.event === "failed") throw unavailable(answer.message);
      return answer;
    });
    this.#last = answer;
    return answer;
  }

  async #readLine(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const { value, done } = await this.#lines.read();
      if (done) throw unavailable("its process has ended");
      this.#rest += value;
    }
  }
}

async function configure(end: TunEnd, mtuBytes: number): Promise<void> {
  const addresses = typeof end.address === "string" ? [end.address] : end.address;
  const { device } = end;
  await ip(
    end,
    "link",
    "set",
    device,
    "mtu",
    `${mtuBytes}`,
    "txqueuelen",
    `${DEVICE_QUEUE_PACKETS}`,
  );
  // No link-local address: router solicitations would be packets that nobody offered.
  await ip(end, "link", "set", device, "addrgenmode", "none");
  for (const address of addresses) {
    // Without nodad an IPv6 address cannot be used for its first seconds.
    const flags = address.includes(":") ? ["nodad"] : [];
    await ip(end, "addr", "add", address, "dev", device, ...flags);
  }
  await ip(end, "link", "set", device, "up");
}

async function deviceDrops(end: TunEnd): Promise<number> {
  const [device] = JSON.parse(await ip(end, "-json", "-stats", "link", "show", "dev", end.device));
  return device.stats64.tx.dropped;
}

async function ip(end: TunEnd, ...args: string[]): Promise<string> {
  const inside = end.netns === null ? [] : ["-netns", end.netns];
  const result = await new Deno.Command("ip", { args: [...inside, ...args], stdin: "null" })
    .output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!result.success) {
    throw unavailable(`"ip ${args.join(" ")}" said ${text(result.stderr).trim()}`);
  }
  return text(result.stdout);
}

function unavailable(state: string, cause?: unknown): GatewayError {
  return new GatewayError("tun_unavailable", `Cannot run the TUN link: ${state}`, {
    hint: "It needs Linux, root, /dev/net/tun, the command ip, and namespaces that exist already",
    cause,
  });
}
