import { GatewayError } from "../core/errors.ts";
import type { Target } from "./means.ts";
import {
  type Carrier,
  families,
  familyOf,
  routePlan,
  type RouteSubject,
  tableOf,
} from "./routes.ts";
import type { HostCommands } from "./host_commands.ts";

/** Sets and removes the routes of one redirect; shared by the means that carry packets. */
export class RouteSetter {
  /** What stands, by this process; null: unknown. */
  #standing: string | null = null;

  constructor(private readonly host: HostCommands) {}

  /** @throws {GatewayError} `redirect_failed`: what the host lacks */
  async check(target: Target): Promise<void> {
    const { settings: { device }, addresses, side } = target;
    if (await this.host.deviceOf(device) === null) {
      throw lacks(`there is no device ${device}`, DEVICE_HINT);
    }
    for (const family of families(addresses)) {
      const path = family === 4 ? "ipv4/ip_forward" : "ipv6/conf/all/forwarding";
      if (await this.host.setting(path) !== "1") {
        throw lacks(
          `IPv${family} is not forwarded`,
          `sysctl -w net.${path.replaceAll("/", ".")}=1`,
        );
      }
    }
    const proxied = side === "old"
      ? addresses.map(({ ip }) => ip)
      : addresses.flatMap(({ gateway }) => gateway ?? []);
    const path = `ipv6/conf/${device}/proxy_ndp`;
    if (proxied.some((ip) => familyOf(ip) === 6) && await this.host.setting(path) !== "1") {
      const hint = `sysctl -w net.ipv6.conf.${device}.proxy_ndp=1`;
      throw lacks(`${device} does not answer for neighbours`, hint);
    }
  }

  async apply(target: Target, carrier: Carrier): Promise<void> {
    const { remove, set } = routePlan(subjectOf(target, carrier), target.stage);
    const text = JSON.stringify(set);
    if (text === this.#standing) return;
    // Nothing to remove is known while nothing was set: one process less inside the pause.
    const isClean = this.#standing === "[]";
    this.#standing = null;
    if (!isClean) await this.host.ipRemove(remove);
    await this.host.ipBatch(set);
    this.#standing = text;
  }

  /** What stood has gone with its device. */
  forget(): void {
    this.#standing = null;
  }

  commands(target: Target, carrier: Carrier): string[] {
    const { remove, set } = routePlan(subjectOf(target, carrier), target.stage);
    return (set.length > 0 ? set : remove).map((each) => `ip ${each.join(" ")}`);
  }
}

function subjectOf(target: Target, carrier: Carrier): RouteSubject {
  const { side, addresses, settings, migration, isHome } = target;
  return { side, addresses, lan: settings.device, carrier, table: tableOf(migration), isHome };
}

const DEVICE_HINT =
  "redirect.device of the machine's definition names the gateway's device on its network";

function lacks(what: string, hint: string): GatewayError {
  return new GatewayError("redirect_failed", `Cannot redirect addresses: ${what}`, { hint });
}
