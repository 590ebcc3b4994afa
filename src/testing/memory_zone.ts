import type { CommandEnd } from "../redirect/host_commands.ts";
import type { MeansMemory } from "../redirect/means.ts";

/** A name server in memory behind the texts of `dig` and `nsupdate`, as BIND 9.18's print them. */
export class MemoryZone {
  /** `NAME TYPE` to `TTL IP…`. */
  readonly sets = new Map<string, { ttlSeconds: number; ips: readonly string[] }>();
  /** Each command with its input, in order. */
  readonly calls: { readonly command: readonly string[]; readonly input: string | null }[] = [];
  /** What the next commands print instead of doing anything, by their first word. */
  readonly failing = new Map<string, CommandEnd>();
  /** Called before an update is looked at: somebody else changes something. */
  beforeUpdate: () => void | Promise<void> = () => {};
  #serial = 1;

  constructor(lines: readonly string[]) {
    for (const line of lines) {
      const [name, ttl, type, ip] = line.split(" ");
      this.#add(`${name} ${type}`, Number(ttl), ip);
    }
  }

  readonly attempt = (command: readonly string[], input: string | null): Promise<CommandEnd> => {
    this.calls.push({ command, input });
    const failure = this.failing.get(command[0]);
    if (failure) return Promise.resolve(failure);
    return command[0] === "dig" ? Promise.resolve(this.#dig(command)) : this.#update(input!);
  };

  /** Another client's change. */
  set(key: string, set: { ttlSeconds: number; ips: readonly string[] }): void {
    this.sets.set(key, set);
    this.#serial++;
  }

  get text(): string {
    return [...this.sets].map(([key, { ttlSeconds, ips }]) => `${key} ${ttlSeconds} ${ips}`).sort()
      .join("\n");
  }

  #dig(command: readonly string[]): CommandEnd {
    const [name, type] = command.slice(-2);
    const set = type === "SOA"
      ? { ttlSeconds: 3600, ips: [this.#soa] }
      : this.sets.get(`${name} ${type}`);
    const answers = (set?.ips ?? []).map((ip) => `${name}\t${set!.ttlSeconds}\tIN\t${type}\t${ip}`);
    const header = ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1\n" +
      ";; flags: qr aa; QUERY: 1, ANSWER: 1, AUTHORITY: 1, ADDITIONAL: 3\n";
    return { success: true, stdout: [header, ...answers, ""].join("\n"), stderr: "" };
  }

  get #soa(): string {
    return `ns.example.org. hostmaster.example.org. ${this.#serial} 3600 600 86400 60`;
  }

  async #update(input: string): Promise<CommandEnd> {
    await this.beforeUpdate();
    const required = new Map<string, string[]>();
    const lines = input.split("\n").map((line) => line.split(" "));
    for (const [verb, what, name, type, ...data] of lines) {
      const ip = data.join(" ");
      if (verb !== "prereq") continue;
      if (type === "SOA" && ip !== this.#soa) return refusal("NXRRSET");
      if (type === "SOA") continue;
      if (what === "nxrrset" && this.sets.has(`${name} ${type}`)) return refusal("YXRRSET");
      if (what === "yxrrset") {
        required.set(`${name} ${type}`, [...required.get(`${name} ${type}`) ?? [], ip]);
      }
    }
    for (const [key, ips] of required) {
      if (this.sets.get(key)?.ips.toSorted().join() !== ips.sort().join()) {
        return refusal("NXRRSET");
      }
    }
    for (const [verb, what, name, ...rest] of lines) {
      if (verb !== "update") continue;
      if (what === "delete") this.sets.delete(`${name} ${rest[0]}`);
      else this.#add(`${name} ${rest[1]}`, Number(rest[0]), rest[2]);
    }
    this.#serial++;
    return { success: true, stdout: "", stderr: "" };
  }

  #add(key: string, ttlSeconds: number, ip: string): void {
    const ips = [...this.sets.get(key)?.ips ?? [], ip];
    this.sets.set(key, { ttlSeconds, ips });
  }
}

/** What `nsupdate` prints where the server says no. */
export function refusal(code: string): CommandEnd {
  return { success: false, stdout: "", stderr: `update failed: ${code}\n` };
}

/** What a ledger would keep for one means of one redirect. */
export function keptMemory(): MeansMemory {
  let kept: unknown = null;
  return {
    read: () => structuredClone(kept),
    write(value) {
      kept = structuredClone(value);
    },
  };
}
