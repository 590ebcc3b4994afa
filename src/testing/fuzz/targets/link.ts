import assert from "node:assert/strict";
import {
  LaneReader,
  PARTIAL_BYTES_MAX,
  putChunk,
  RecordAssembler,
} from "../../../link/quic_chunks.ts";
import { CHUNK_HEADER_BYTES, endChunk } from "../../../link/quic_chunks.ts";
import {
  decodePathDatagram,
  encodeFeedback,
  encodeMark,
  encodePing,
} from "../../../link/path_datagram.ts";
import { PathReceiver } from "../../../link/path_receiver.ts";
import { PathSender } from "../../../link/path_sender.ts";
import { decodeCopy, encodeCopy } from "../../../link/record_copy.ts";
import { RECORD_BYTES_MAX } from "../../../wire/limits.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import { joinParts, mutateParts, splitParts } from "../parts.ts";
import type { FuzzTarget } from "../target.ts";

const LANES = 3;

/** A piece of one lane: its index, then chunks. */
function anyPiece(dice: Dice): Uint8Array {
  const chunks: number[] = [];
  for (let count = dice.between(1, 4); count > 0; count--) {
    const record = dice.bytes(dice.size(3_000) + 1);
    const at = dice.chance(0.5) ? 0 : dice.below(record.length);
    const length = dice.chance(0.5) ? record.length - at : dice.between(1, record.length - at);
    const chunk = new Uint8Array(CHUNK_HEADER_BYTES + length);
    putChunk(chunk, dice.below(4), record, at, length);
    chunks.push(...chunk);
  }
  if (dice.chance(0.05)) chunks.push(...endChunk());
  return Uint8Array.of(dice.below(LANES), ...chunks);
}

/** Chunks of records on the lanes of a bundle. */
export function laneChunks(): FuzzTarget {
  return {
    name: "lane-chunks",
    reads: "chunks of records on the streams of a bundle (src/link/quic_chunks.ts)",
    codes: ["frame_invalid", "frame_too_long"],
    form: "bytes",
    bufferBytesMax: PARTIAL_BYTES_MAX + RECORD_BYTES_MAX,
    heapBytesMax: 2 * PARTIAL_BYTES_MAX,
    testExecutions: 5_000,
    generate: (dice) => joinParts(Array.from({ length: dice.between(1, 6) }, () => anyPiece(dice))),
    mutate: (input, dice, others) =>
      mutateParts(input, dice, (part) => mutateBytes(part, dice, others), () => anyPiece(dice)),
    run(input) {
      const assembler = new RecordAssembler();
      const lanes = Array.from({ length: LANES }, () => new LaneReader(assembler));
      let records = 0;
      for (const piece of splitParts(input)) {
        for (const record of lanes[(piece[0] ?? 0) % LANES].take(piece.subarray(1))) {
          assert.ok(record.length > 0 && record.length <= RECORD_BYTES_MAX);
          records++;
        }
        assert.ok(assembler.partialBytes >= 0 && assembler.partialBytes <= PARTIAL_BYTES_MAX);
      }
      const ended = lanes.filter((lane) => lane.ended).length;
      return `${Math.min(records, 3)} records, ${ended} lanes ended`;
    },
  };
}

function anyDatagram(dice: Dice, nowMs: number): Uint8Array {
  const ms = () =>
    dice.pick([nowMs, nowMs - dice.size(500), 0, NaN, Infinity, -1e300, nowMs + 1e9]);
  switch (dice.below(5)) {
    case 0:
      return encodeMark({
        number: dice.number() % 2 ** 32,
        sentMs: ms(),
        chunkBytes: dice.size(65e3),
      });
    case 1:
      return encodePing(ms());
    case 2:
      return encodeCopy(dice.bytes(dice.between(1, 40)), 1_200)!;
    default:
      return encodeFeedback({
        nowMs,
        echoedSentMs: ms(),
        heldMs: dice.pick([0, 1, 50, -5, 1e300]),
        markCount: dice.size(40),
        markBytes: dice.size(1e6),
        lastMark: dice.size(60),
        lastMarkAtMs: ms(),
        transitMs: ms(),
        consumedBytes: dice.size(1e6),
        laneBytes: Array.from({ length: dice.below(5) }, () => dice.size(1e6)),
      });
  }
}

/** Datagrams that tell of the path, and the pacer that believes them within reason. */
export function pathDatagrams(): FuzzTarget {
  return {
    name: "path-datagrams",
    reads: "datagrams that measure the path, and what the pacer makes of them (src/link)",
    codes: [],
    form: "bytes",
    bufferBytesMax: 1024 * 1024,
    testExecutions: 3_000,
    generate: (dice) =>
      joinParts(Array.from({ length: dice.between(1, 40) }, (_, i) => anyDatagram(dice, 20 * i))),
    mutate: (input, dice, others) =>
      mutateParts(
        input,
        dice,
        (part) => mutateBytes(part, dice, others),
        () => anyDatagram(dice, dice.size(2_000)),
      ),
    run(input) {
      const sender = new PathSender();
      const receiver = new PathReceiver();
      const met = new Set<string>();
      let nowMs = 0;
      let sentBytes = 0;
      for (const part of splitParts(input)) {
        nowMs += 20;
        for (let chunk = 0; chunk < 4; chunk++) {
          sender.sent(1_400, CHUNK_HEADER_BYTES, nowMs);
          sentBytes += 1_400;
        }
        const copy = decodeCopy(part);
        const datagram = copy === null ? decodePathDatagram(part) : null;
        if (copy !== null) met.add("copy");
        else if (datagram === null) met.add("ignored");
        else if (datagram.kind === "mark") receiver.mark(datagram, nowMs);
        else if (datagram.kind === "ping") receiver.ping(datagram.sentMs, nowMs);
        else met.add(`believed ${sender.take(datagram, sentBytes, sentBytes / 2, nowMs)}`);
        check(sender, nowMs, met);
        encodeFeedback(receiver.feedback(nowMs, sentBytes, [0, sentBytes]));
      }
      return [...met].sort().join(" ");
    },
  };
}

/** Nothing that a peer reports may stop what leaves, or let it leave without measure. */
function check(sender: PathSender, nowMs: number, met: Set<string>): void {
  const { rateBytesPerSecond, windowBytes, phase } = sender.pacer;
  met.add(phase);
  assert.ok(rateBytesPerSecond > 0 && Number.isFinite(rateBytesPerSecond), `${rateBytesPerSecond}`);
  assert.ok(windowBytes > 0, `window ${windowBytes}`);
  const waitMs = sender.waitMs(nowMs);
  assert.ok(waitMs >= 0 && waitMs < 60_000, `a wait of ${waitMs} ms`);
  assert.ok(sender.inFlightBytes >= 0);
  for (
    const figure of [
      sender.estimate.lossRatio(),
      sender.estimate.goodputBytesPerSecond(nowMs),
      sender.estimate.roundTripMs,
      sender.estimate.minRoundTripMs,
    ]
  ) assert.ok(figure === null || Number.isFinite(figure), `${figure}`);
}
