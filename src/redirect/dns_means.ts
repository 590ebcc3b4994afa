import { type Clock, timestamp } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { MeansSettings } from "../guest/addresses.ts";
import { isSameSet, type RecordSet, recordSets } from "./dns_records.ts";
import { HostCommands } from "./host_commands.ts";
import type { Means, MeansMemory, Target } from "./means.ts";
import { NameServer, type NameServers, type RunCommand } from "./name_server.ts";

export type DnsSettings = Extract<MeansSettings, { kind: "dns" }>;

/** Of records that were not there before, where the settings say nothing. */
const NEW_TTL_SECONDS = 300;
/** How often a set is read again because somebody else has changed it meanwhile. */
const TRIES = 4;

/** What was found before anything was changed; in the ledger from then on. */
type Memory = {
  /** When the TTLs of before began to run out, RFC 3339. */
  readonly loweredAt: string;
  readonly sets: readonly Pick<RecordSet, "name" | "type" | "ttlSeconds">[];
  /** The machine's arrival is in the DNS: a later move may have changed it again. */
  readonly hasSwitched: boolean;
};

/**
 * The machine's names in the DNS, by RFC 2136 updates to the site's name server: TTLs are lowered
 * before the move, the site at which the machine arrives names its own addresses, and after the drain
 * the TTLs are what they were (decision 027).
 *
 * A site that finds a TTL lowered already leaves it to the site that has lowered it.
 */
export class DnsMeans implements Means {
  readonly kind = "dns";
  readonly #server: NameServer | null;
  #memory: MeansMemory = { read: () => null, write: () => {} };
  /** By this process: inside the pause there is nothing left to do then. */
  #isLowered = false;

  constructor(
    private readonly settings: DnsSettings,
    private readonly clock: Pick<Clock, "wallMs">,
    nameServers: NameServers,
    host: { readonly attempt: RunCommand } = new HostCommands(),
  ) {
    const known = Object.hasOwn(nameServers, settings.nameServer);
    this.#server = known
      ? new NameServer(
        nameServers[settings.nameServer],
        (command, input) => host.attempt(command, input),
      )
      : null;
  }

  useMemory(memory: MeansMemory): void {
    this.#memory = memory;
  }

  async check(target: Target): Promise<void> {
    const server = this.#requireServer();
    const own = this.#own(target);
    if (own.length === 0) {
      throw new GatewayError("redirect_failed", "Cannot use the means dns: no address has a name", {
        hint: "Give addresses a name, or list records in the means dns",
      });
    }
    for (const { name } of own) server.requireInZone(name);
    await readAll(server, own);
  }

  async apply(target: Target): Promise<string | void> {
    const { stage, side } = target;
    const remembered = this.#memory.read() as Memory | null;
    if (stage === "bound" || stage === "retired") {
      // Nothing is changed before it is known what was there.
      if (remembered === null) return;
      this.#isLowered = false;
      return await this.#restore(remembered, side === "new" && stage === "retired");
    }
    const memory = remembered ?? await this.#look(target);
    if (stage === "draining" && side === "new" && !memory.hasSwitched) {
      return await this.#lead(target, memory);
    }
    if (!this.#isLowered) {
      // Written although it may be so already: that the key may do it is known before the move.
      await this.#change(memory.sets, (found) => this.#lowered(memory, found), "always");
      this.#isLowered = true;
    }
    return this.#cachedText(memory);
  }

  commands(target: Target): string[] {
    const { stage, side } = target;
    const server = this.#requireServer();
    const { movingTtlSeconds, ttlSeconds } = this.settings;
    const isGoing = stage === "bound" || stage === "retired";
    const leads = stage === "draining" && side === "new";
    // The server's own state is not looked at: what is found there is named in words.
    const sets = this.#own(target).map((set) => ({
      ...set,
      ttlSeconds: isGoing ? ttlSeconds ?? NaN : movingTtlSeconds,
      ips: leads ? set.ips : ["ADDRESSES-FOUND"],
    }));
    const text = server.text(sets).replaceAll(" NaN ", " TTL-FOUND-BEFORE ");
    return isGoing || leads || stage === "prepared"
      ? [text]
      : [`# unless it was done before: ${text}`];
  }

  traffic(): Promise<null> {
    return Promise.resolve(null);
  }

  letGo(): Promise<void> {
    return Promise.resolve();
  }

  /** Notes what is there before anything of it is changed. */
  async #look(target: Target): Promise<Memory> {
    const found = await readAll(this.#requireServer(), this.#own(target));
    const memory: Memory = {
      loweredAt: timestamp(this.clock.wallMs()),
      sets: found.map(({ name, type, ttlSeconds }) => ({ name, type, ttlSeconds })),
      hasSwitched: false,
    };
    this.#memory.write(memory);
    return memory;
  }

  /** The machine runs here. */
  async #lead(target: Target, memory: Memory): Promise<string> {
    const own = this.#own(target);
    const { movingTtlSeconds } = this.settings;
    await this.#change(own, (found, index) => ({
      ...found,
      ttlSeconds: this.#lowered(memory, found).ttlSeconds ?? movingTtlSeconds,
      ips: own[index].ips,
    }));
    this.#isLowered = true;
    this.#memory.write({ ...memory, hasSwitched: true });
    const leads = own.map(({ name, ips }) => `${name} is ${ips.join(", ")}`).join("; ");
    const cached = this.#cachedText(memory);
    return cached === undefined ? leads : `${leads}; ${cached}`;
  }

  async #restore(memory: Memory, hasAdded: boolean): Promise<void> {
    const { ttlSeconds, movingTtlSeconds } = this.settings;
    await this.#change(memory.sets, (found, index) => {
      const before = memory.sets[index].ttlSeconds;
      if (found.ttlSeconds === null) return found;
      const wanted = ttlSeconds ??
        (before === null
          ? hasAdded ? NEW_TTL_SECONDS : null
          : before > movingTtlSeconds
          ? before
          : null);
      return wanted === null ? found : { ...found, ttlSeconds: wanted };
    });
  }

  /** Whether this site is the one that has lowered a set, or has added it. */
  #restores({ sets }: Memory, { name, type }: RecordSet): boolean {
    const before = sets.find((set) => set.name === name && set.type === type)?.ttlSeconds ?? null;
    return before === null || before > this.settings.movingTtlSeconds ||
      this.settings.ttlSeconds !== undefined;
  }

  /**
   * One that is high and was not when this site looked has been restored by the other site since:
   * nobody would restore it again.
   */
  #lowered(memory: Memory, found: RecordSet): RecordSet {
    const { movingTtlSeconds } = this.settings;
    if (found.ttlSeconds === null || !this.#restores(memory, found)) return found;
    return { ...found, ttlSeconds: Math.min(found.ttlSeconds, movingTtlSeconds) };
  }

  /** Reads and replaces until nobody else has changed it in between. */
  async #change(
    sets: readonly Pick<RecordSet, "name" | "type">[],
    wish: (found: RecordSet, index: number) => RecordSet,
    when: "always" | "changed" = "changed",
  ): Promise<void> {
    const server = this.#requireServer();
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      // The other site may change no more than a TTL meanwhile. A zone that changes all the time must
      // not hold up a move for good: the last try looks at the sets alone.
      const version = attempt < TRIES ? await server.version() : null;
      const found = await readAll(server, sets);
      const pairs = found.map((each, index) => ({ each, wanted: wish(each, index) }))
        .filter(({ each, wanted }) =>
          wanted.ips.length > 0 && (when === "always" || !isSameSet(each, wanted))
        );
      if (pairs.length === 0) return;
      const before = pairs.map(({ each }) => each);
      if (await server.update(before, pairs.map(({ wanted }) => wanted), version)) return;
    }
    const names = sets.map(({ name }) => name).join(", ");
    throw new GatewayError("redirect_failed", `Cannot change ${names}: others change it as well`, {
      hint: "A name that follows a machine is to be changed by the gateways only",
    });
  }

  /** Whether resolvers may still have what was there; undefined where they cannot. */
  #cachedText({ sets, loweredAt }: Memory): string | undefined {
    const { movingTtlSeconds } = this.settings;
    const lowered = sets.flatMap(({ name, type, ttlSeconds }) =>
      ttlSeconds !== null && ttlSeconds > movingTtlSeconds ? [{ name, type, ttlSeconds }] : []
    );
    const longest = Math.max(0, ...lowered.map(({ ttlSeconds }) => ttlSeconds));
    const untilMs = Date.parse(loweredAt) + longest * 1000;
    if (longest === 0 || untilMs <= this.clock.wallMs()) return undefined;
    const names = lowered.map(({ name, type }) => `${name} ${type}`).join(", ");
    return `${names}: the TTL of ${longest} s that it had was lowered at ${loweredAt}; ` +
      `resolvers may keep what they know until ${timestamp(untilMs)}`;
  }

  #own({ addresses }: Target): ReturnType<typeof recordSets> {
    return recordSets(
      this.settings.records ??
        addresses.flatMap(({ ip, name }) => name === undefined ? [] : [{ ip, name }]),
    );
  }

  #requireServer(): NameServer {
    if (this.#server) return this.#server;
    const { nameServer } = this.settings;
    throw new GatewayError(
      "redirect_failed",
      `Cannot use the means dns: this site has no name server ${nameServer}`,
      { hint: "Add it to nameServers in the gateway's configuration and start the gateway again" },
    );
  }
}

async function readAll(
  server: NameServer,
  sets: readonly Pick<RecordSet, "name" | "type">[],
): Promise<RecordSet[]> {
  return await Promise.all(sets.map(({ name, type }) => server.read(name, type)));
}
