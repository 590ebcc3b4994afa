import { parseIp } from "../core/ip_address.ts";
import { sameForm } from "../guest/addresses.ts";

export type RecordType = "A" | "AAAA";

/** Whom one name leads to by one type of record: what the DNS calls an RRset (RFC 2181 section 5). */
export interface RecordSet {
  /** Absolute and in lower case: `web.example.org.`. */
  readonly name: string;
  readonly type: RecordType;
  /** Null where there are no such records. */
  readonly ttlSeconds: number | null;
  /** In canonical form, sorted. */
  readonly ips: readonly string[];
}

/** What a server said to a question. */
export interface DnsAnswer {
  /** `NOERROR`, `REFUSED`…; null: no answer in what the command printed. */
  readonly status: string | null;
  /** It is a primary or secondary of the zone: its TTLs are those of the zone itself. */
  readonly isAuthoritative: boolean;
  /** Of all names and types that stand in the answer. */
  readonly records: readonly DnsRecord[];
}

export interface DnsRecord {
  /** As the server writes it. */
  readonly owner: string;
  readonly ttlSeconds: number;
  readonly type: string;
  /** In the form of a zone file, words apart by one space. */
  readonly data: string;
}

/** One form for each name. */
export function absoluteName(name: string): string {
  return `${name.toLowerCase().replace(/\.$/, "")}.`;
}

/** True where the zone has the name, or is called so. */
export function isInZone(name: string, zone: string): boolean {
  const [inner, outer] = [absoluteName(name), absoluteName(zone)];
  return outer === "." || inner === outer || inner.endsWith(`.${outer}`);
}

/** Groups what is to be found under names at a site. `ttlSeconds` is left open. */
export function recordSets(
  records: readonly { readonly name: string; readonly ip: string }[],
): Pick<RecordSet, "name" | "type" | "ips">[] {
  const sets = new Map<string, { name: string; type: RecordType; ips: Set<string> }>();
  for (const record of records) {
    const name = absoluteName(record.name);
    const type = parseIp(record.ip)?.family === 6 ? "AAAA" : "A";
    const set = sets.get(`${name} ${type}`) ?? { name, type, ips: new Set<string>() };
    set.ips.add(sameForm(record.ip));
    sets.set(`${name} ${type}`, set);
  }
  return [...sets.values()].map((set) => ({ ...set, ips: [...set.ips].sort() }));
}

/** Reads what `dig +noall +comments +answer` prints. */
export function parseDig(text: string): DnsAnswer {
  const status = /->>HEADER<<- .*?status: ([A-Z]+)/.exec(text)?.[1] ?? null;
  const flags = /^;; flags:([a-z ]*);/m.exec(text)?.[1].split(" ") ?? [];
  const records = text.split("\n").flatMap((line) => {
    const [owner, ttl, , type, ...data] = line.trim().split(/\s+/);
    if (line.startsWith(";") || data.length === 0 || !/^\d+$/.test(ttl)) return [];
    return [{ owner, ttlSeconds: Number(ttl), type, data: data.join(" ") }];
  });
  return { status, isAuthoritative: flags.includes("aa"), records };
}

/** The set of one name and type, without what else stands in an answer (aliases, signatures). */
export function setIn({ records }: DnsAnswer, name: string, type: RecordType): RecordSet {
  const found = records.filter(({ owner, type: kind, data }) =>
    owner.toLowerCase() === name && kind === type && parseIp(data) !== null
  );
  return {
    name,
    type,
    ttlSeconds: found.length === 0 ? null : Math.min(...found.map((each) => each.ttlSeconds)),
    ips: found.map(({ data }) => sameForm(data)).sort(),
  };
}

/** The zone's own SOA, which no two states of it share (RFC 1035 section 3.3.13); null: not there. */
export function versionIn({ records }: DnsAnswer, zone: string): string | null {
  const soa = records.find(({ owner, type }) =>
    type === "SOA" && absoluteName(owner) === absoluteName(zone)
  );
  return soa?.data ?? null;
}

/** True where an update would change nothing. */
export function isSameSet(one: RecordSet, other: RecordSet): boolean {
  return one.ttlSeconds === other.ttlSeconds && one.ips.join() === other.ips.join();
}

/**
 * The lines of `nsupdate` that replace sets, all in one message: the server does all of it or none
 * (RFC 2136 section 3.4). It is refused where the records are not those any more that were read.
 *
 * @param found what was read of each set in `wanted`, in that order; null: whatever is there (a dry run)
 * @param version the zone's SOA from before the sets were read: conditions do not see a TTL (RFC 2136
 *   section 2.4), the serial does. Null: the zone may have changed otherwise
 */
export function updateLines(
  server: { readonly host: string; readonly port: number; readonly zone: string },
  found: readonly RecordSet[] | null,
  wanted: readonly RecordSet[],
  version: string | null = null,
): string {
  const zone = absoluteName(server.zone);
  const unchanged = version === null ? [] : [`prereq yxrrset ${zone} SOA ${version}`];
  const conditions = (found ?? []).flatMap(({ name, type, ips }) =>
    ips.length === 0
      ? [`prereq nxrrset ${name} ${type}`]
      : ips.map((ip) => `prereq yxrrset ${name} ${type} ${ip}`)
  );
  const changes = wanted.flatMap(({ name, type, ttlSeconds, ips }) => [
    `update delete ${name} ${type}`,
    ...ips.map((ip) => `update add ${name} ${ttlSeconds} ${type} ${ip}`),
  ]);
  const to = [`server ${server.host} ${server.port}`, `zone ${zone}`];
  return [...to, ...unchanged, ...conditions, ...changes, "send", ""].join("\n");
}
