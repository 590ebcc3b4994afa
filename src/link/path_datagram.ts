/**
 * Datagrams by which a bundle measures its path (protocol version 1, implemented). QUIC gives no
 * figures for loss, round trip or rate here, so each side marks what it sends and the other reports
 * what arrived. Every one may get lost: all figures are totals since the bundle began.
 *
 *     MARK      { u8 1, u32 number, f64 sentMs, u32 chunkBytes }     goes before a chunk, on its lane,
 *               for it and the small ones since the last mark
 *     PING      { u8 2, f64 sentMs }                                 asks for FEEDBACK at once
 *     FEEDBACK  { u8 3, f64 nowMs, f64 echoedSentMs, f64 heldMs, u32 markCount, f64 markBytes,
 *                 u32 lastMark, f64 lastMarkAtMs, f64 transitMs, f64 consumedBytes,
 *                 u8 laneCount, laneCount x f64 laneBytes }
 *
 * Big-endian. Times are each side's own monotonic clock. PING and FEEDBACK travel on the urgent
 * lane, where nothing waits in front of them.
 */

export interface Mark {
  readonly kind: "mark";
  readonly number: number;
  readonly sentMs: number;
  readonly chunkBytes: number;
}

export interface Ping {
  readonly kind: "ping";
  readonly sentMs: number;
}

export interface Feedback {
  readonly kind: "feedback";
  /** Receiver's clock when this was written. */
  readonly nowMs: number;
  /** `sentMs` of the newest mark or ping that arrived; NaN before the first. */
  readonly echoedSentMs: number;
  /** How long ago that was. */
  readonly heldMs: number;
  /** Marks that arrived, and the bytes of the chunks behind them. */
  readonly markCount: number;
  readonly markBytes: number;
  /** Highest number that arrived, and when (receiver's clock); NaN before the first. */
  readonly lastMark: number;
  readonly lastMarkAtMs: number;
  /** Least (arrival - sending) of the marks since the last feedback; NaN without any. */
  readonly transitMs: number;
  /** Bulk record bytes that the receiver has done with: the sender's window counts them. */
  readonly consumedBytes: number;
  /** Bytes read from each lane's stream, by lane index. */
  readonly laneBytes: readonly number[];
}

export type PathDatagram = Mark | Ping | Feedback;

const TYPES = { mark: 1, ping: 2, feedback: 3 } as const;
const FEEDBACK_FIXED_BYTES = 1 + 8 * 3 + 4 + 8 + 4 + 8 + 8 + 8 + 1;
/** Far above what a bundle has. */
const LANES_MAX = 32;

export function encodeMark(mark: Omit<Mark, "kind">): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(17));
  view.setUint8(0, TYPES.mark);
  view.setUint32(1, mark.number);
  view.setFloat64(5, mark.sentMs);
  view.setUint32(13, mark.chunkBytes);
  return new Uint8Array(view.buffer);
}

export function encodePing(sentMs: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(9));
  view.setUint8(0, TYPES.ping);
  view.setFloat64(1, sentMs);
  return new Uint8Array(view.buffer);
}

export function encodeFeedback(feedback: Omit<Feedback, "kind">): Uint8Array<ArrayBuffer> {
  const { laneBytes } = feedback;
  const view = new DataView(new ArrayBuffer(FEEDBACK_FIXED_BYTES + 8 * laneBytes.length));
  view.setUint8(0, TYPES.feedback);
  view.setFloat64(1, feedback.nowMs);
  view.setFloat64(9, feedback.echoedSentMs);
  view.setFloat64(17, feedback.heldMs);
  view.setUint32(25, feedback.markCount);
  view.setFloat64(29, feedback.markBytes);
  view.setUint32(37, feedback.lastMark);
  view.setFloat64(41, feedback.lastMarkAtMs);
  view.setFloat64(49, feedback.transitMs);
  view.setFloat64(57, feedback.consumedBytes);
  view.setUint8(65, laneBytes.length);
  laneBytes.forEach((bytes, index) => view.setFloat64(FEEDBACK_FIXED_BYTES + 8 * index, bytes));
  return new Uint8Array(view.buffer);
}

/** Null for everything that is none: a datagram is never worth an error. */
export function decodePathDatagram(bytes: Uint8Array): PathDatagram | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = bytes[0];
  if (type === TYPES.mark && bytes.length === 17) {
    return {
      kind: "mark",
      number: view.getUint32(1),
      sentMs: view.getFloat64(5),
      chunkBytes: view.getUint32(13),
    };
  }
  if (type === TYPES.ping && bytes.length === 9) {
    return { kind: "ping", sentMs: view.getFloat64(1) };
  }
  if (type !== TYPES.feedback || bytes.length < FEEDBACK_FIXED_BYTES) return null;
  const laneCount = view.getUint8(65);
  if (laneCount > LANES_MAX || bytes.length !== FEEDBACK_FIXED_BYTES + 8 * laneCount) return null;
  return {
    kind: "feedback",
    nowMs: view.getFloat64(1),
    echoedSentMs: view.getFloat64(9),
    heldMs: view.getFloat64(17),
    markCount: view.getUint32(25),
    markBytes: view.getFloat64(29),
    lastMark: view.getUint32(37),
    lastMarkAtMs: view.getFloat64(41),
    transitMs: view.getFloat64(49),
    consumedBytes: view.getFloat64(57),
    laneBytes: Array.from(
      { length: laneCount },
      (_, index) => view.getFloat64(FEEDBACK_FIXED_BYTES + 8 * index),
    ),
  };
}
