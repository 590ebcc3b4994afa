import { Fields, pack, packString } from "./bytes.ts";
import {
  GREETING_MAGIC,
  INFO,
  MAX_CONTEXTS,
  MAX_OPTION_BYTES,
  MAX_OPTION_REPLY_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_STRING_BYTES,
  MIN_BLOCK_LIMIT_BYTES,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
} from "./constants.ts";
import { protocolFailure } from "./failure.ts";

/**
 * Messages of the fixed newstyle handshake (NBD specification, "Newstyle negotiation"). Every
 * decoder takes one complete message and refuses missing and surplus bytes with `nbd_protocol`.
 */

/** `"NBDMAGIC" "IHAVEOPT" be16 flags` */
export function encodeGreeting(flags: number): Uint8Array {
  return pack([64, GREETING_MAGIC], [64, OPTION_MAGIC], [16, flags]);
}

/** @returns the server's handshake flags */
export function decodeGreeting(bytes: Uint8Array): number {
  const fields = new Fields(bytes, "greeting");
  if (fields.magic() !== GREETING_MAGIC) throw protocolFailure("it does not greet as NBD");
  if (fields.magic() !== OPTION_MAGIC) throw protocolFailure("it speaks the oldstyle protocol");
  return fields.u16();
}

export interface OptionHeader {
  readonly option: number;
  readonly lengthBytes: number;
}

/** `"IHAVEOPT" be32 option be32 length data` */
export function encodeOption(option: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  return pack([64, OPTION_MAGIC], [32, option], [32, data.length], data);
}

/** Refuses data above `MAX_OPTION_BYTES`. */
export function decodeOptionHeader(bytes: Uint8Array): OptionHeader {
  const fields = new Fields(bytes, "option header");
  if (fields.magic() !== OPTION_MAGIC) throw protocolFailure("an option starts without its magic");
  const header = { option: fields.u32(), lengthBytes: fields.u32() };
  if (header.lengthBytes > MAX_OPTION_BYTES) {
    throw protocolFailure(
      `option ${header.option} has ${header.lengthBytes} bytes, limit is ${MAX_OPTION_BYTES}`,
    );
  }
  return header;
}

export interface OptionReplyHeader {
  readonly option: number;
  readonly type: number;
  readonly lengthBytes: number;
}

/** `be64 magic be32 option be32 type be32 length data` */
export function encodeOptionReply(
  option: number,
  type: number,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  return pack([64, OPTION_REPLY_MAGIC], [32, option], [32, type], [32, data.length], data);
}

/** Refuses data above `MAX_OPTION_REPLY_BYTES`. */
export function decodeOptionReplyHeader(bytes: Uint8Array): OptionReplyHeader {
  const fields = new Fields(bytes, "option reply header");
  if (fields.magic() !== OPTION_REPLY_MAGIC) {
    throw protocolFailure("an option reply starts without its magic");
  }
  const header = { option: fields.u32(), type: fields.u32(), lengthBytes: fields.u32() };
  if (header.lengthBytes > MAX_OPTION_REPLY_BYTES) {
    throw protocolFailure(
      `reply to option ${header.option} has ${header.lengthBytes} bytes, ` +
        `limit is ${MAX_OPTION_REPLY_BYTES}`,
    );
  }
  return header;
}

/** What INFO and GO ask: an export and kinds of information about it. */
export interface InfoRequest {
  readonly exportName: string;
  readonly infoTypes: readonly number[];
}

/** `string name, be16 count, be16 type...` */
export function encodeInfoRequest(request: InfoRequest): Uint8Array {
  return pack(
    packString(request.exportName),
    [16, request.infoTypes.length],
    ...request.infoTypes.map((type) => [16, type] as const),
  );
}

export function decodeInfoRequest(bytes: Uint8Array): InfoRequest {
  const fields = new Fields(bytes, "INFO or GO option");
  const exportName = fields.text(fields.u32(), MAX_STRING_BYTES);
  const count = fields.u16();
  const infoTypes: number[] = [];
  for (let index = 0; index < count; index++) infoTypes.push(fields.u16());
  fields.end();
  return { exportName, infoTypes };
}

export interface BlockSizes {
  readonly minBytes: number;
  readonly preferredBytes: number;
  readonly maxPayloadBytes: number;
}

/** What the specification lets a client assume when the server says nothing. */
export const DEFAULT_BLOCK_SIZES: BlockSizes = {
  minBytes: 1,
  preferredBytes: 4096,
  maxPayloadBytes: MAX_PAYLOAD_BYTES,
};

/** One piece of information about an export; kinds that this project has no use for are `other`. */
export type ExportInfo =
  | { readonly kind: "export"; readonly sizeBytes: number; readonly flags: number }
  | { readonly kind: "blockSize"; readonly sizes: BlockSizes }
  | { readonly kind: "other"; readonly type: number };

export function encodeExportInfo(info: Exclude<ExportInfo, { kind: "other" }>): Uint8Array {
  if (info.kind === "export") {
    return pack([16, INFO.export], [64, info.sizeBytes], [16, info.flags]);
  }
  const { minBytes, preferredBytes, maxPayloadBytes } = info.sizes;
  return pack([16, INFO.blockSize], [32, minBytes], [32, preferredBytes], [32, maxPayloadBytes]);
}

export function decodeExportInfo(bytes: Uint8Array): ExportInfo {
  const fields = new Fields(bytes, "export information");
  const type = fields.u16();
  if (type === INFO.export) {
    const info = { kind: "export", sizeBytes: fields.u64(), flags: fields.u16() } as const;
    fields.end();
    return info;
  }
  if (type === INFO.blockSize) {
    const sizes = {
      minBytes: fields.u32(),
      preferredBytes: fields.u32(),
      maxPayloadBytes: fields.u32(),
    };
    fields.end();
    return { kind: "blockSize", sizes: checkBlockSizes(sizes) };
  }
  return { kind: "other", type };
}

/** A hostile maximum of one byte would turn a read into millions of requests. */
function checkBlockSizes(sizes: BlockSizes): BlockSizes {
  const { minBytes, preferredBytes, maxPayloadBytes } = sizes;
  const powerOfTwo = (value: number) => value > 0 && (value & (value - 1)) === 0;
  if (
    !powerOfTwo(minBytes) || minBytes > MIN_BLOCK_LIMIT_BYTES || !powerOfTwo(preferredBytes) ||
    preferredBytes < Math.max(512, minBytes) || maxPayloadBytes < preferredBytes
  ) {
    throw protocolFailure(
      `block sizes ${minBytes}/${preferredBytes}/${maxPayloadBytes} contradict the specification`,
    );
  }
  const usable = Math.min(maxPayloadBytes, MAX_PAYLOAD_BYTES);
  return { ...sizes, maxPayloadBytes: usable - usable % minBytes };
}

/** What LIST_META_CONTEXT and SET_META_CONTEXT ask. */
export interface ContextRequest {
  readonly exportName: string;
  readonly queries: readonly string[];
}

/** `string name, be32 count, string query...` */
export function encodeContextRequest(request: ContextRequest): Uint8Array {
  return pack(
    packString(request.exportName),
    [32, request.queries.length],
    ...request.queries.map(packString),
  );
}

export function decodeContextRequest(bytes: Uint8Array): ContextRequest {
  const fields = new Fields(bytes, "META_CONTEXT option");
  const exportName = fields.text(fields.u32(), MAX_STRING_BYTES);
  const count = fields.u32();
  if (count > MAX_CONTEXTS) {
    throw protocolFailure(`${count} metadata contexts are asked for, limit is ${MAX_CONTEXTS}`);
  }
  const queries: string[] = [];
  for (let index = 0; index < count; index++) {
    queries.push(fields.text(fields.u32(), MAX_STRING_BYTES));
  }
  fields.end();
  return { exportName, queries };
}

/** `be32 id, name` */
export function encodeContext(id: number, name: string): Uint8Array {
  return pack([32, id], name);
}

export function decodeContext(bytes: Uint8Array): { id: number; name: string } {
  const fields = new Fields(bytes, "metadata context");
  return { id: fields.u32(), name: fields.rest(MAX_STRING_BYTES) };
}

/** One entry of LIST: `string name`, then a description that is ignored. */
export function encodeListEntry(exportName: string): Uint8Array {
  return packString(exportName);
}

export function decodeListEntry(bytes: Uint8Array): string {
  const fields = new Fields(bytes, "list entry");
  return fields.text(fields.u32(), MAX_STRING_BYTES);
}
