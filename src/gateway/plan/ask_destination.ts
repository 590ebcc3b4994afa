import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import type { Finding, GuestDescription } from "../../guest/guest.ts";
import type { PeerLink } from "../../link/peer_link.ts";
import { decodeMessage, encodeMessage, toSource } from "../../migration/messages.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { Held } from "./held.ts";

/** A preflight looks at images and processes; on a busy host that takes seconds. */
const ANSWER_TIMEOUT_MS = 10_000;

/** What the peer said of its side. */
export interface DestinationAnswer {
  readonly description: GuestDescription;
  readonly findings: readonly Finding[];
  readonly availableMemoryBytes: number | null;
  readonly held: Held;
}

export interface AskDeps {
  readonly site: string;
  readonly link: PeerLink;
  readonly clock: Clock;
  readonly newId: () => string;
}

/**
 * Asks the peer what it would find if the move were offered now. The question has a channel of its
 * own that is closed with the answer, and no move of its name exists at either site.
 *
 * @throws {GatewayError} what the peer would refuse the offer for, or `peer_unreachable`
 */
export async function askDestination(
  deps: AskDeps,
  question: {
    readonly guest: string;
    readonly epoch: number;
    readonly description: GuestDescription;
  },
  signal: AbortSignal,
): Promise<DestinationAnswer> {
  for (let { epoch } = question, attempt = 0;; attempt++) {
    const answer = await askOnce(deps, { ...question, epoch }, signal);
    if (answer.type === "planned") return answer;
    const { error, owner } = answer;
    // As for an offer: where the peer knows this site as the owner, only this ledger is behind.
    const isMine = owner === null || owner === deps.site;
    if (error.code !== "offer_stale" || answer.epoch === null || !isMine || attempt > 0) {
      throw new GatewayError(error.code as GatewayError["code"], error.message, error);
    }
    epoch = answer.epoch;
  }
}

async function askOnce(
  { link, clock, newId }: AskDeps,
  question: Parameters<typeof askDestination>[1],
  signal: AbortSignal,
) {
  const id = newId();
  const over = new AbortController();
  const failed = Promise.withResolvers<never>();
  const fail = (why: string) => failed.reject(unanswered(link.peerName, why));
  const abort = () => failed.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  const stop = link.onEvent((event) => {
    if (event.kind === "restarted") fail("its gateway has just restarted");
    if (event.kind === "closedByPeer" && event.migrationId === id) fail(event.reason);
    if (event.kind === "handlerFailed" && event.migrationId === id) fail(event.error.message);
  });
  void clock.sleep(ANSWER_TIMEOUT_MS, over.signal).then(
    () => fail(`it has not answered within ${ANSWER_TIMEOUT_MS / 1000} s`),
    () => {},
  );
  failed.promise.catch(() => {});
  try {
    signal.throwIfAborted();
    const control = link.channel(id, "control");
    const answered = Promise.withResolvers<ReturnType<typeof answerOf>>();
    control.receive(({ payload }) => {
      answered.resolve(answerOf(payload));
      return Promise.resolve();
    });
    const sent = control.send(FRAME_TYPES.control, encodeMessage({ type: "plan", ...question }));
    return await Promise.race([sent.then(() => answered.promise), failed.promise]);
  } finally {
    stop();
    over.abort();
    signal.removeEventListener("abort", abort);
    link.closeChannels(id);
  }
}

function answerOf(payload: Uint8Array) {
  const message = decodeMessage(toSource, payload);
  if (message.type === "planned" || message.type === "rejected") return message;
  throw new GatewayError("frame_invalid", `Cannot take ${message.type} as the answer to a plan`, {
    hint: "Check that both gateways run the same version",
  });
}

function unanswered(peer: string, why: string): GatewayError {
  return new GatewayError("peer_unreachable", `Cannot ask ${peer} about its side: ${why}`, {
    hint: "The forecast goes without what it would find; it may be of a version without plans",
  });
}
