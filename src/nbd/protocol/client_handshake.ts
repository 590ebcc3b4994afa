import { Fields, pack } from "./bytes.ts";
import {
  EXPORT_NAME_PADDING_BYTES,
  GREETING_BYTES,
  HANDSHAKE,
  INFO,
  MAX_OPTION_REPLIES,
  MAX_STRING_BYTES,
  OPTION,
  OPTION_REPLY,
  OPTION_REPLY_HEADER_BYTES,
} from "./constants.ts";
import { protocolFailure, refusal } from "./failure.ts";
import {
  type BlockSizes,
  decodeContext,
  decodeExportInfo,
  decodeGreeting,
  decodeListEntry,
  decodeOptionReplyHeader,
  DEFAULT_BLOCK_SIZES,
  encodeContextRequest,
  encodeInfoRequest,
  encodeOption,
} from "./handshake.ts";
import { collect, type Parser, skip } from "./intake.ts";

/** What both sides agreed on; transmission follows it. */
export interface NegotiatedExport {
  readonly sizeBytes: number;
  /** Bits of `TRANSMISSION`. */
  readonly flags: number;
  readonly blockSizes: BlockSizes;
  readonly structured: boolean;
  /** Selected metadata contexts by their id on this connection. */
  readonly contexts: ReadonlyMap<number, string>;
}

type Send = (bytes: Uint8Array) => void;

/**
 * The client's half of the handshake, up to transmission:
 * greeting, STRUCTURED_REPLY, SET_META_CONTEXT where contexts are wanted, GO, or EXPORT_NAME where
 * the server has no GO. Contexts that the server does not have are missing from the result.
 *
 * @throws {GatewayError} `nbd_refused` when the server says no, `nbd_protocol` when it makes no sense
 */
export function* negotiate(
  wanted: { readonly exportName: string; readonly contexts: readonly string[] },
  send: Send,
): Parser<NegotiatedExport> {
  const noZeroes = yield* greet(send);
  const { exportName } = wanted;
  const action = `open NBD export "${exportName}"`;

  send(encodeOption(OPTION.structuredReply));
  const structured = (yield* replies(OPTION.structuredReply)).type === OPTION_REPLY.ack;

  const contexts = new Map<number, string>();
  const selected = new Set<string>();
  if (structured && wanted.contexts.length > 0) {
    const request = encodeContextRequest({ exportName, queries: wanted.contexts });
    send(encodeOption(OPTION.setMetaContext, request));
    const answer = yield* replies(OPTION.setMetaContext, (type, data) => {
      if (type !== OPTION_REPLY.metaContext) return;
      const { id, name } = decodeContext(data);
      // Each may come with a million descriptors in every reply.
      if (!wanted.contexts.includes(name) || contexts.has(id) || selected.has(name)) {
        throw protocolFailure(`it selects context ${JSON.stringify(name)} twice or unasked`);
      }
      selected.add(name);
      contexts.set(id, name);
    });
    if (answer.type !== OPTION_REPLY.ack) contexts.clear();
    refuseUnless(action, answer, [OPTION_REPLY.ack, OPTION_REPLY.unsupported]);
  }

  let size: { sizeBytes: number; flags: number } | null = null;
  let blockSizes = DEFAULT_BLOCK_SIZES;
  send(encodeOption(OPTION.go, encodeInfoRequest({ exportName, infoTypes: [INFO.blockSize] })));
  const answer = yield* replies(OPTION.go, (type, data) => {
    if (type !== OPTION_REPLY.info) return;
    const info = decodeExportInfo(data);
    if (info.kind === "export") size = info;
    if (info.kind === "blockSize") blockSizes = info.sizes;
  });
  refuseUnless(action, answer, [OPTION_REPLY.ack, OPTION_REPLY.unsupported]);
  if (answer.type === OPTION_REPLY.unsupported) {
    size = yield* openByName(exportName, noZeroes, send);
  } else if (size === null) throw protocolFailure("it opens the export without telling its size");
  return { ...pickSize(size), blockSizes, structured, contexts };
}

/** Asks for the names of all exports, then ends the connection politely. */
export function* listExports(send: Send): Parser<string[]> {
  yield* greet(send);
  const names: string[] = [];
  send(encodeOption(OPTION.list));
  const answer = yield* replies(OPTION.list, (type, data) => {
    if (type === OPTION_REPLY.server) names.push(decodeListEntry(data));
  });
  send(encodeOption(OPTION.abort));
  refuseUnless("list NBD exports", answer, [OPTION_REPLY.ack]);
  return names;
}

function* greet(send: Send): Parser<boolean> {
  const flags = decodeGreeting(yield* collect(GREETING_BYTES));
  if ((flags & HANDSHAKE.fixedNewstyle) === 0) {
    throw protocolFailure("it does not know the fixed newstyle handshake");
  }
  const agreed = flags & (HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes);
  send(pack([32, agreed]));
  return (agreed & HANDSHAKE.noZeroes) !== 0;
}

interface Answer {
  readonly type: number;
  /** The server's own words in an error reply. */
  readonly message: string;
}

/** Reads the replies to one option up to its ACK or error. */
function* replies(
  option: number,
  onReply: (type: number, data: Uint8Array) => void = () => {},
): Parser<Answer> {
  for (let count = 0; count < MAX_OPTION_REPLIES; count++) {
    const header = decodeOptionReplyHeader(yield* collect(OPTION_REPLY_HEADER_BYTES));
    if (header.option !== option) {
      throw protocolFailure(`it answers option ${header.option}, asked was ${option}`);
    }
    const data = yield* collect(header.lengthBytes);
    if (header.type === OPTION_REPLY.ack) return { type: header.type, message: "" };
    if (header.type >= OPTION_REPLY.unsupported) {
      return { type: header.type, message: new TextDecoder().decode(data.slice()).slice(0, 500) };
    }
    onReply(header.type, data);
  }
  throw protocolFailure(`it sends more than ${MAX_OPTION_REPLIES} replies to option ${option}`);
}

const REFUSALS: Record<number, { state: string; hint: string }> = {
  [OPTION_REPLY.unsupported]: {
    state: "the server does not know this option",
    hint: "Use an NBD server that supports it",
  },
  [OPTION_REPLY.policy]: {
    state: "the server forbids it",
    hint: "Check who may connect in the server's configuration",
  },
  [OPTION_REPLY.tlsRequired]: {
    state: "the server wants TLS",
    hint: "Offer the export on a unix socket or a loopback port without TLS",
  },
  [OPTION_REPLY.unknownExport]: {
    state: "the server has no such export",
    hint: "Compare the name with the server's list of exports",
  },
  [OPTION_REPLY.shutdown]: {
    state: "the server is shutting down",
    hint: "Try again when it is back",
  },
};

function refuseUnless(action: string, answer: Answer, allowed: readonly number[]): void {
  if (allowed.includes(answer.type)) return;
  const { state, hint } = REFUSALS[answer.type] ?? {
    state: `the server answers error ${answer.type - OPTION_REPLY.unsupported + 1}`,
    hint: "Read the server's log",
  };
  throw refusal(action, answer.message ? `${state} (${answer.message})` : state, hint);
}

/** The oldest way in: no error reply exists, an unknown name closes the connection. */
function* openByName(
  exportName: string,
  noZeroes: boolean,
  send: Send,
): Parser<{ sizeBytes: number; flags: number }> {
  const name = new TextEncoder().encode(exportName);
  if (name.length > MAX_STRING_BYTES) throw new RangeError("exportName is too long");
  send(encodeOption(OPTION.exportName, name));
  const fields = new Fields(yield* collect(10), "answer to EXPORT_NAME");
  const size = { sizeBytes: fields.u64(), flags: fields.u16() };
  if (!noZeroes) yield* skip(EXPORT_NAME_PADDING_BYTES);
  return size;
}

function pickSize(size: { sizeBytes: number; flags: number }): {
  sizeBytes: number;
  flags: number;
} {
  return { sizeBytes: size.sizeBytes, flags: size.flags };
}
