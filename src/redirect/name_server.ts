import { GatewayError } from "../core/errors.ts";
import {
  absoluteName,
  type DnsAnswer,
  isInZone,
  parseDig,
  type RecordSet,
  type RecordType,
  setIn,
  updateLines,
  versionIn,
} from "./dns_records.ts";
import type { CommandEnd } from "./host_commands.ts";

/** A zone's primary and the key for it, as the site's configuration names it. */
export interface NameServerSettings {
  /** `HOST:PORT` or `[IPV6]:PORT`. */
  readonly address: string;
  readonly zone: string;
  readonly keyFile: string;
}

/** By the name that machines use. */
export type NameServers = Readonly<Record<string, NameServerSettings>>;

/** Runs a program to its end. */
export type RunCommand = (command: readonly string[], input: string | null) => Promise<CommandEnd>;

/** How long a server has for one answer. */
const ANSWER_SECONDS = 5;
/** What `nsupdate` prints where what was read is not there any more (RFC 2136 section 2.4). */
const CHANGED = /^update failed: (NXRRSET|YXRRSET|NXDOMAIN|YXDOMAIN)/m;

/**
 * One name server, asked by `dig` and changed by `nsupdate` over TCP, both signed (TSIG, RFC 8945).
 *
 * The key is named by its path. What the programs print is matched against known texts and otherwise
 * left out: of a file that is no key they print the lines.
 */
export class NameServer {
  readonly #host: string;
  readonly #port: number;

  constructor(
    private readonly settings: NameServerSettings,
    private readonly run: RunCommand,
  ) {
    const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(settings.address)!;
    this.#host = host;
    this.#port = Number(port);
  }

  /** @throws {GatewayError} `dns_zone_mismatch` */
  requireInZone(name: string): void {
    const { zone } = this.settings;
    if (isInZone(name, zone)) return;
    throw new GatewayError("dns_zone_mismatch", `Cannot change ${name}: it is not in ${zone}`, {
      hint: "Name the zone that has it in nameServers of the configuration, or correct the name",
    });
  }

  /**
   * What the zone has now.
   *
   * @throws {GatewayError} `dns_server_unreachable`, `dns_update_refused`, `dns_zone_mismatch`,
   *   `redirect_failed`: the program is not there
   */
  async read(name: string, type: RecordType): Promise<RecordSet> {
    return setIn(await this.#ask(name, type), name, type);
  }

  /**
   * Something that every change of the zone changes; null where the zone does not tell.
   *
   * @throws {GatewayError} as `read` does
   */
  async version(): Promise<string | null> {
    const zone = absoluteName(this.settings.zone);
    return versionIn(await this.#ask(zone, "SOA"), zone);
  }

  async #ask(name: string, type: RecordType | "SOA"): Promise<DnsAnswer> {
    const { keyFile, zone } = this.settings;
    const end = await this.#run([
      ...["dig", `@${this.#host}`, "-p", `${this.#port}`, "-k", keyFile, "+tcp", "+norecurse"],
      ...[`+time=${ANSWER_SECONDS}`, "+tries=1", "+noall", "+comments", "+answer", name, type],
    ], null);
    // It goes on without a signature then.
    if (/Couldn't read key/.test(end.stderr + end.stdout)) throw this.#keyUnreadable();
    const answer = parseDig(end.stdout);
    const { status, isAuthoritative } = answer;
    if (status === null) throw this.#unreachable();
    if (status === "NOTAUTH") throw this.#refused(name, "NOTAUTH, the key is not good there");
    if (
      status === "REFUSED" || ((status === "NOERROR" || status === "NXDOMAIN") && !isAuthoritative)
    ) {
      throw new GatewayError(
        "dns_zone_mismatch",
        `Cannot read ${name}: ${this.#who} does not serve ${zone} (${status})`,
        { hint: "address in nameServers has to be the zone's primary" },
      );
    }
    if (status === "NOERROR" || status === "NXDOMAIN") return answer;
    throw this.#unreachable(status);
  }

  /**
   * Replaces sets at once.
   *
   * @param found as they were read, in the order of `wanted`
   * @param version as it was read before them; null: other changes of the zone do not matter
   * @returns false where they are not that any more, and nothing was done
   * @throws {GatewayError} as `read` does
   */
  async update(
    found: readonly RecordSet[],
    wanted: readonly RecordSet[],
    version: string | null,
  ): Promise<boolean> {
    const end = await this.#run(this.#command(), this.#lines(found, wanted, version));
    if (end.success) return true;
    const said = end.stdout + end.stderr;
    if (CHANGED.test(said)) return false;
    const names = [...new Set(wanted.map(({ name }) => name))].join(", ");
    if (/could not read key/.test(said)) throw this.#keyUnreadable();
    const code = /update failed: ([A-Z]+(?:\([A-Z]+\))?)/.exec(said)?.[1];
    if (code === undefined) throw this.#unreachable();
    if (code === "NOTZONE" || code === "NOTAUTH") {
      const { zone } = this.settings;
      throw new GatewayError(
        "dns_zone_mismatch",
        `Cannot change ${names}: ${this.#who} does not serve it in ${zone} (${code})`,
        { hint: "zone and address in nameServers have to be the zone of the name and its primary" },
      );
    }
    if (code === "REFUSED" || code.startsWith("NOTAUTH(")) throw this.#refused(names, code);
    throw this.#unreachable(code);
  }

  /** The same as a shell would be told it. */
  text(wanted: readonly RecordSet[]): string {
    return `${this.#command().join(" ")} << ${JSON.stringify(this.#lines(null, wanted))}`;
  }

  #command(): string[] {
    return ["nsupdate", "-v", "-t", `${ANSWER_SECONDS}`, "-k", this.settings.keyFile];
  }

  #lines(
    found: readonly RecordSet[] | null,
    wanted: readonly RecordSet[],
    version: string | null = null,
  ): string {
    const { zone } = this.settings;
    return updateLines({ host: this.#host, port: this.#port, zone }, found, wanted, version);
  }

  async #run(command: readonly string[], input: string | null): Promise<CommandEnd> {
    try {
      return await this.run(command, input);
    } catch (cause) {
      throw new GatewayError("redirect_failed", `Cannot run ${command[0]}: it is not there`, {
        hint: "The means dns needs dig and nsupdate (Debian: bind9-dnsutils)",
        cause,
      });
    }
  }

  #unreachable(status?: string): GatewayError {
    const how = status === undefined ? "does not answer" : `answers ${status}`;
    return new GatewayError("dns_server_unreachable", `Cannot use the DNS: ${this.#who} ${how}`, {
      hint: "Check that it runs, that TCP to it passes, and its log",
    });
  }

  #refused(names: string, code: string): GatewayError {
    const hint = /BADTIME/.test(code)
      ? "The clocks of this host and of the name server differ: set them"
      : /BADKEY|BADSIG|NOTAUTH/.test(code)
      ? "Give both ends the same key: name, algorithm and secret of keyFile"
      : "Allow the key to change A and AAAA of the name (BIND: update-policy, Knot: acl)";
    const message = `Cannot change ${names}: ${this.#who} says ${code}`;
    return new GatewayError("dns_update_refused", message, { hint });
  }

  #keyUnreadable(): GatewayError {
    const { keyFile } = this.settings;
    return new GatewayError("dns_update_refused", `Cannot use the key ${keyFile}`, {
      hint: "keyFile is to be a TSIG key as tsig-keygen writes it, readable by the gateway",
    });
  }

  get #who(): string {
    return `name server ${this.settings.address}`;
  }
}
