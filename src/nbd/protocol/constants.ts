/**
 * Numbers of the NBD protocol (fixed newstyle), by the names its specification gives them
 * (NetworkBlockDevice/nbd, doc/proto.md), and the limits this project sets on top of it.
 */

/** "NBDMAGIC", "IHAVEOPT" and the prefix of every option reply. */
export const GREETING_MAGIC = 0x4e42444d41474943n;
export const OPTION_MAGIC = 0x49484156454f5054n;
export const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;

export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const CHUNK_MAGIC = 0x668e33ef;

/** Bits of the handshake flags, the same on both sides. */
export const HANDSHAKE = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

export const OPTION_REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 0x80000001,
  policy: 0x80000002,
  invalid: 0x80000003,
  platform: 0x80000004,
  tlsRequired: 0x80000005,
  unknownExport: 0x80000006,
  shutdown: 0x80000007,
  blockSizeRequired: 0x80000008,
  tooBig: 0x80000009,
} as const;

export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** What an export can do; bit 0 is always set. */
export const TRANSMISSION = {
  hasFlags: 1,
  readOnly: 1 << 1,
  flush: 1 << 2,
  fua: 1 << 3,
  trim: 1 << 5,
  writeZeroes: 1 << 6,
  doNotFragment: 1 << 7,
  multiConn: 1 << 8,
} as const;

export const COMMAND = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const COMMAND_FLAG = { fua: 1, noHole: 2, doNotFragment: 4, reqOne: 8 } as const;

export const CHUNK_FLAG_DONE = 1;
export const CHUNK = {
  none: 0,
  data: 1,
  hole: 2,
  blockStatus: 5,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;

/** Flags of `base:allocation`, and the one flag of a dirty bitmap. */
export const ALLOCATION = { hole: 1, zero: 2 } as const;
export const DIRTY = 1;

export const BASE_ALLOCATION = "base:allocation";

export const GREETING_BYTES = 18;
export const OPTION_HEADER_BYTES = 16;
export const OPTION_REPLY_HEADER_BYTES = 20;
export const REQUEST_BYTES = 28;
export const SIMPLE_REPLY_BYTES = 16;
export const CHUNK_HEADER_BYTES = 20;
/** Zeroes after the answer to EXPORT_NAME unless both sides set no-zeroes. */
export const EXPORT_NAME_PADDING_BYTES = 124;

/** Longest string of the specification ("Values", strings). */
export const MAX_STRING_BYTES = 4096;
/** Data of one option that the server accepts: a name and 30,000 information requests. */
export const MAX_OPTION_BYTES = 64 * 1024;
/** Data of one option reply that the client accepts: two longest strings and room. */
export const MAX_OPTION_REPLY_BYTES = 16 * 1024;
/** Replies to one option, final one included; LIST of a large server is the longest. */
export const MAX_OPTION_REPLIES = 10_000;
/** Metadata contexts that one connection selects. */
export const MAX_CONTEXTS = 64;
/** READ and WRITE where the server announces no limit (specification, "Block size constraints"). */
export const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;
/** Descriptors of one block status chunk: nbdkit sends up to 1 Mi, QEMU 128 Ki. */
export const MAX_STATUS_DESCRIPTORS = 1024 * 1024;
/** Error chunk: errno, message length, a longest string, offset. */
export const MAX_ERROR_CHUNK_BYTES = 4 + 2 + MAX_STRING_BYTES + 8;
/** Separate regions that the chunks of one read may leave before they meet. */
export const MAX_READ_REGIONS = 1024;
/** Largest length of one request: 32 bits, rounded down to 64 KiB so that steps stay aligned. */
export const MAX_REQUEST_LENGTH_BYTES = 0xffff0000;
/** Requests in flight per connection: QEMU's server works on 16 and lets more wait. */
export const MAX_IN_FLIGHT = 16;
/** Smallest and largest block size that the specification allows as minimum. */
export const MIN_BLOCK_LIMIT_BYTES = 64 * 1024;
