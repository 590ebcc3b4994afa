import type { MachineAddress, MeansKind } from "../guest/addresses.ts";
import { sameForm } from "../guest/addresses.ts";
import type { AddressTraffic, Traffic } from "./means.ts";
import type { RecordedEvent, Redirect } from "./redirect.ts";
import { type RedirectSide, type ShownState, shownState } from "./state.ts";

/** One end of one redirect as `GET /v1/redirects` shows it. Unknown values are null. */
export interface RedirectView {
  guest: string;
  /** The move that it belongs to; null for addresses of a machine that no move has redirected. */
  migration: string | null;
  /** Which end of that move the answering site is. */
  side: RedirectSide | null;
  peer: string | null;
  state: ShownState;
  /** True once the site's rules were seen to be what the state says. */
  settled: boolean;
  /** Since when, RFC 3339 UTC. */
  since: string | null;
  means: MeansKind[];
  /** Why the site's rules are not what they should be. */
  problem: string | null;
  addresses: AddressView[];
  /** Whether probes of this site reach the machine after the move; null before that is known. */
  reach: {
    reached: boolean;
    /** From the pause on until every probe was answered; null where it was not, or began elsewhere. */
    blackoutMs: number | null;
    missing: string[];
  } | null;
  /** What the operator is asked; everything stays as it is until then. */
  question: { askedAt: string; text: string } | null;
  /** Packets that waited for the machine while it stood still; null where nothing keeps any. */
  kept: { packets: number; bytes: number; droppedPackets: number } | null;
  history: { at: string; kind: string; detail: string | null }[];
}

export interface AddressView {
  ip: string;
  mac: string | null;
  subnet: string | null;
  gateway: string | null;
  name: string | null;
  /** The site where the machine with this address is. */
  site: string;
  /** What was carried between the sites; null where nobody counts. */
  traffic: Omit<AddressTraffic, "ip"> | null;
}

export function viewOf(redirect: Redirect, site: string, traffic: Traffic | null): RedirectView {
  const { subject, state, events } = redirect;
  const { guest, migration, side, peer, settings, addresses } = subject;
  const isAway = state.stage === "draining" || state.stage === "retired";
  const at = isAway === (side === "old") ? peer : site;
  return {
    guest,
    migration,
    side,
    peer,
    state: shownState(state),
    settled: redirect.isSettled,
    since: sinceOf(events),
    means: settings.means.map(({ kind }) => kind),
    problem: state.problem,
    addresses: addresses.map((address) => addressView(address, at, traffic)),
    reach: reachOf(events),
    question: state.asks ? questionOf(redirect) : null,
    kept: traffic && settings.means.some(({ kind }) => kind === "tunnel")
      ? {
        packets: traffic.keptPackets,
        bytes: traffic.keptBytes,
        droppedPackets: traffic.droppedPackets,
      }
      : null,
    history: events.map((event) => ({ at: event.at, kind: event.kind, detail: detailOf(event) })),
  };
}

/** The addresses of a machine that runs at this site, with nothing redirected. */
export function boundView(
  guest: string,
  site: string,
  addresses: readonly MachineAddress[],
  means: readonly MeansKind[],
): RedirectView {
  return {
    guest,
    migration: null,
    side: null,
    peer: null,
    state: "bound",
    settled: true,
    since: null,
    means: [...means],
    problem: null,
    addresses: addresses.map((address) => addressView(address, site, null)),
    reach: null,
    question: null,
    kept: null,
    history: [],
  };
}

function addressView(
  { ip, mac, subnet, gateway, name }: MachineAddress,
  site: string,
  traffic: Traffic | null,
): AddressView {
  const counted = traffic?.addresses.find((each) => each.ip === sameForm(ip));
  const { ip: _, ...figures } = counted ?? { ip };
  return {
    ip: sameForm(ip),
    mac: mac ?? null,
    subnet: subnet ?? null,
    gateway: gateway ?? null,
    name: name ?? null,
    site,
    traffic: counted ? figures as Omit<AddressTraffic, "ip"> : null,
  };
}

const STEPS: readonly RecordedEvent["kind"][] = [
  "preparing",
  "switched",
  "unswitched",
  "arrived",
  "retiring",
  "undone",
];

/** When the stage began: what has failed or been settled since is part of it. */
function sinceOf(events: readonly RecordedEvent[]): string {
  const last = events.findLast(({ kind }) => STEPS.includes(kind));
  return (last ?? events[0]).at;
}

function reachOf(events: readonly RecordedEvent[]): RedirectView["reach"] {
  const last = events.findLast(({ kind }) => kind === "reached" || kind === "unreached");
  if (last?.kind === "reached") {
    return { reached: true, blackoutMs: last.blackoutMs, missing: [] };
  }
  if (last?.kind !== "unreached") return null;
  return { reached: false, blackoutMs: null, missing: [...last.missing] };
}

function questionOf({ subject, events }: Redirect): RedirectView["question"] {
  const asked = events.findLast((event) => event.kind === "unreached");
  if (asked?.kind !== "unreached") return null;
  const { guest, peer } = subject;
  const text = `${guest} runs at ${peer} and is not reached from here after ` +
    `${asked.waitedMs} ms (${asked.missing.join(", ")}): keep it there, or bring it back?`;
  return { askedAt: asked.at, text };
}

function detailOf(event: RecordedEvent): string | null {
  if (event.kind === "failed") return event.problem;
  if (event.kind === "retiring") return event.reason;
  if (event.kind === "settled") return event.output ?? null;
  if (event.kind === "remembered") return "what was there before was noted";
  if (event.kind === "probed") return `no answer before the move: ${event.silent.join(", ")}`;
  if (event.kind === "reached") return `after ${event.blackoutMs ?? "an unknown number of"} ms`;
  if (event.kind === "unreached") return event.missing.join(", ");
  if (event.kind === "answered") return `${event.keep ? "keep" : "bring back"}, by ${event.by}`;
  return null;
}
