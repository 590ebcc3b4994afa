import { GatewayError } from "../../core/errors.ts";
import { Fields, pack } from "./bytes.ts";
import {
  BASE_ALLOCATION,
  EXPORT_NAME_PADDING_BYTES,
  HANDSHAKE,
  MAX_STRING_BYTES,
  OPTION,
  OPTION_HEADER_BYTES,
  OPTION_REPLY,
  TRANSMISSION,
} from "./constants.ts";
import { protocolFailure } from "./failure.ts";
import {
  type BlockSizes,
  decodeContextRequest,
  decodeInfoRequest,
  decodeOptionHeader,
  encodeContext,
  encodeExportInfo,
  encodeGreeting,
  encodeListEntry,
  encodeOptionReply,
} from "./handshake.ts";
import { collect, type Parser } from "./intake.ts";

/** What a server says about one of its exports. */
export interface ServedExport {
  readonly name: string;
  readonly sizeBytes: number;
  /** Bits of `TRANSMISSION`, without the one that depends on structured replies. */
  readonly flags: number;
  readonly blockSizes: BlockSizes;
  /** Whether it has `base:allocation`. */
  readonly hasAllocation: boolean;
}

/** What transmission with one client follows. */
export interface AcceptedExport {
  readonly served: ServedExport;
  readonly structured: boolean;
  /** Whether the client selected `base:allocation`. */
  readonly allocation: boolean;
}

/** The only context that this server has, and its id on every connection. */
export const ALLOCATION_CONTEXT_ID = 1;

/** Thrown inside an option: the client is told, and may try another. */
class OptionRefusal {
  constructor(readonly type: number, readonly message: string) {}
}

/**
 * The server's half of the handshake: EXPORT_NAME, ABORT, LIST, INFO, GO, STRUCTURED_REPLY and the
 * META_CONTEXT options; everything else, TLS and extended headers included, gets ERR_UNSUP.
 *
 * @returns null when the client left, or asked by EXPORT_NAME for what is not there
 * @throws {GatewayError} `nbd_protocol` when the client does not speak fixed newstyle
 */
export function* accept(
  exports: readonly ServedExport[],
  send: (bytes: Uint8Array) => void,
): Parser<AcceptedExport | null> {
  send(encodeGreeting(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes));
  const clientFlags = new Fields(yield* collect(4), "client flags").u32();
  if (clientFlags & ~(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes)) {
    throw protocolFailure(`the client sets unknown flags 0x${clientFlags.toString(16)}`);
  }
  let structured = false;
  let allocationOf: string | null = null;

  for (;;) {
    const { option, lengthBytes } = decodeOptionHeader(yield* collect(OPTION_HEADER_BYTES));
    const data = yield* collect(lengthBytes);
    const reply = (type: number, payload?: Uint8Array) =>
      send(encodeOptionReply(option, type, payload));
    const accepted = (served: ServedExport): AcceptedExport => ({
      served,
      structured,
      allocation: allocationOf === served.name,
    });
    try {
      switch (option) {
        case OPTION.exportName: {
          const name = new Fields(data, "EXPORT_NAME option").rest(MAX_STRING_BYTES);
          const served = exports.find((candidate) => candidate.name === name);
          if (!served) return null;
          const noZeroes = (clientFlags & HANDSHAKE.noZeroes) !== 0;
          const padding = new Uint8Array(noZeroes ? 0 : EXPORT_NAME_PADDING_BYTES);
          send(pack([64, served.sizeBytes], [16, flagsFor(served, structured)], padding));
          return accepted(served);
        }
        case OPTION.abort:
          reply(OPTION_REPLY.ack);
          return null;
        case OPTION.list:
          requireEmpty(data);
          for (const { name } of exports) reply(OPTION_REPLY.server, encodeListEntry(name));
          break;
        case OPTION.info:
        case OPTION.go: {
          const served = find(exports, decodeInfoRequest(data).exportName);
          const flags = flagsFor(served, structured);
          const { sizeBytes, blockSizes: sizes } = served;
          reply(OPTION_REPLY.info, encodeExportInfo({ kind: "export", sizeBytes, flags }));
          reply(OPTION_REPLY.info, encodeExportInfo({ kind: "blockSize", sizes }));
          if (option === OPTION.info) break;
          reply(OPTION_REPLY.ack);
          return accepted(served);
        }
        case OPTION.structuredReply:
          requireEmpty(data);
          structured = true;
          break;
        case OPTION.listMetaContext:
        case OPTION.setMetaContext: {
          if (!structured) {
            throw new OptionRefusal(OPTION_REPLY.invalid, "structured replies first");
          }
          const { exportName, queries } = decodeContextRequest(data);
          const served = find(exports, exportName);
          const wanted = option === OPTION.listMetaContext && queries.length === 0 ||
            queries.some((query) => query === BASE_ALLOCATION || isListOfBase(option, query));
          const found = wanted && served.hasAllocation;
          if (found) {
            const context = encodeContext(ALLOCATION_CONTEXT_ID, BASE_ALLOCATION);
            reply(OPTION_REPLY.metaContext, context);
          }
          if (option === OPTION.setMetaContext) allocationOf = found ? exportName : null;
          break;
        }
        default:
          throw new OptionRefusal(OPTION_REPLY.unsupported, "");
      }
      reply(OPTION_REPLY.ack);
    } catch (cause) {
      const refused = cause instanceof GatewayError
        ? new OptionRefusal(OPTION_REPLY.invalid, cause.message)
        : cause;
      if (!(refused instanceof OptionRefusal)) throw cause;
      reply(refused.type, new TextEncoder().encode(refused.message));
    }
  }
}

/** `base:` asks for the whole namespace, which only a listing may do. */
function isListOfBase(option: number, query: string): boolean {
  return option === OPTION.listMetaContext && query === "base:";
}

function find(exports: readonly ServedExport[], name: string): ServedExport {
  const served = exports.find((candidate) => candidate.name === name);
  if (!served) throw new OptionRefusal(OPTION_REPLY.unknownExport, "no such export");
  return served;
}

function requireEmpty(data: Uint8Array): void {
  if (data.length > 0) throw new OptionRefusal(OPTION_REPLY.invalid, "this option has no data");
}

function flagsFor(served: ServedExport, structured: boolean): number {
  return served.flags | TRANSMISSION.hasFlags | (structured ? TRANSMISSION.doNotFragment : 0);
}
