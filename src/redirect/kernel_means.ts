import { GatewayError } from "../core/errors.ts";
import { type MachineAddress, type MeansSettings, sameForm } from "../guest/addresses.ts";
import { isRedirected, type Means, type Target, type Traffic } from "./means.ts";
import { RouteSetter } from "./route_setter.ts";
import { type Carrier, familyOf, tableOf } from "./routes.ts";
import { HostCommands } from "./host_commands.ts";

export type KernelSettings = Extract<MeansSettings, { kind: "kernel" }>;

/**
 * Packets of the machine's addresses routed by the kernel to the other site, over a device that is
 * there: a line, or a VXLAN or WireGuard device of the site. Nothing is kept while the machine stands
 * still. Counted by nftables, where the command is.
 */
export class KernelMeans implements Means {
  readonly kind = "kernel";
  readonly #routes: RouteSetter;
  readonly #carrier: Carrier;
  /** The table of counters that stands; null: none. */
  #counted: { readonly table: string; readonly addresses: readonly MachineAddress[] } | null = null;

  constructor(
    private readonly settings: KernelSettings,
    private readonly host: HostCommands = new HostCommands(),
  ) {
    this.#routes = new RouteSetter(host);
    const { device, via } = settings;
    this.#carrier = { device, via };
  }

  async check(target: Target): Promise<void> {
    await this.#routes.check(target);
    const { device } = this.settings;
    if (await this.host.deviceOf(device) !== null) return;
    throw new GatewayError("redirect_failed", `Cannot redirect addresses: no device ${device}`, {
      hint: "device of the kernel means names the way to the other site",
    });
  }

  async apply(target: Target): Promise<string | void> {
    const problem = await this.#count(target);
    await this.#routes.apply(target, this.#carrier);
    if (problem !== null) return `packets are not counted: ${problem}`;
  }

  commands(target: Target): string[] {
    const nft = `nft -f - << ${JSON.stringify(rulesOf(target))}`;
    return [nft, ...this.#routes.commands(target, this.#carrier)];
  }

  async traffic(): Promise<Traffic | null> {
    if (this.#counted === null) return null;
    const { table, addresses } = this.#counted;
    const text = await this.host.run(["nft", "-j", "list", "counters", "table", "inet", table]);
    const counters = new Map<string, { packets: number; bytes: number }>();
    for (const { counter } of JSON.parse(text).nftables) {
      if (counter) counters.set(counter.name, counter);
    }
    const count = (name: string) => counters.get(name) ?? { packets: 0, bytes: 0 };
    return {
      addresses: addresses.map(({ ip }, index) => ({
        ip: sameForm(ip),
        toMachinePackets: count(`to_${index}`).packets,
        toMachineBytes: count(`to_${index}`).bytes,
        fromMachinePackets: count(`from_${index}`).packets,
        fromMachineBytes: count(`from_${index}`).bytes,
      })),
      keptPackets: 0,
      keptBytes: 0,
      droppedPackets: 0,
    };
  }

  letGo(): Promise<void> {
    return Promise.resolve();
  }

  /** Counters are a convenience: without nft only the drain's limit ends it. @returns why not */
  async #count(target: Target): Promise<string | null> {
    const table = tableName(target);
    const wanted = isRedirected(target.stage);
    if (wanted && this.#counted !== null) return null;
    this.#counted = null;
    try {
      await this.host.run(["nft", "-f", "-"], rulesOf(target));
      if (wanted) this.#counted = { table, addresses: target.addresses };
      return null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}

function tableName({ migration }: Target): string {
  return `causeway_${tableOf(migration)}`;
}

/** What nft is to read. The table is made before it is deleted, so that this works from anywhere. */
function rulesOf(target: Target): string {
  const table = `table inet ${tableName(target)}`;
  const gone = `${table}\ndelete ${table}\n`;
  if (!isRedirected(target.stage)) return gone;
  const counters = target.addresses.flatMap((
    _,
    n,
  ) => [`counter to_${n} {}`, `counter from_${n} {}`]);
  const rules = target.addresses.flatMap(({ ip }, n) => {
    const family = familyOf(ip) === 4 ? "ip" : "ip6";
    return [
      `${family} daddr ${sameForm(ip)} counter name to_${n}`,
      `${family} saddr ${sameForm(ip)} counter name from_${n}`,
    ];
  });
  const chain = ["type filter hook forward priority -300; policy accept;", ...rules].join("\n");
  return `${gone}${table} {\n${counters.join("\n")}\nchain forward {\n${chain}\n}\n}\n`;
}
