/**
 * Pacer, marks and feedback over the emulator's link model in virtual time, for tests and tuning:
 * one second of a 100 Mbit/s path takes some ms and every run is the same. The transport is
 * simplified: a lost packet is sent again a little more than a round trip later, unpaced.
 */
import { LinkModel } from "../emulator/link_model.ts";
import { Random } from "../core/random.ts";
import type { WanProfile } from "../emulator/settings.ts";
import type { Pacer } from "../link/pacer.ts";
import type { Feedback, Mark } from "../link/path_datagram.ts";
import type { PathMeasurement } from "../link/peer_link.ts";
import { PathReceiver } from "../link/path_receiver.ts";
import { PathSender } from "../link/path_sender.ts";
import { TcpFlow } from "./tcp_flow.ts";

export interface PacedPathOptions {
  readonly profile: WanProfile;
  readonly seconds: number;
  readonly seed: number;
  /** Pauses of each of the three programs (sender, link, receiver), exponentially distributed. */
  readonly pauses?: { readonly everyMs: number; readonly meanMs: number };
  /**
   * Programs that stand still, beside those pauses: `host` is all three, as where one computer runs
   * everything.
   */
  readonly stalls?: readonly {
    readonly atMs: number;
    readonly durationMs: number;
    readonly program: "sender" | "link" | "receiver" | "host";
  }[];
  /** What the application has to send, if it is less than the path takes. */
  readonly offeredBytesPerSecond?: number;
  /** TCP downloads that share the path, one from each of these times on. */
  readonly tcpFromMs?: readonly number[];
  /** The cap of the sender, asked for every 100 ms; without it there is none. */
  readonly cap?: (path: PathMeasurement, nowMs: number) => number | null;
  /** Changes of the link, each at its time. */
  readonly changes?: readonly {
    readonly atMs: number;
    readonly apply: (link: LinkModel) => void;
  }[];
}

export interface PacedPathResult {
  /** Payload that has arrived by the end of each 100 ms, from 0 on. */
  readonly receivedBytes: readonly number[];
  /** What the sender took for the path's queueing delay at the same times. */
  readonly queueMs: readonly (number | null)[];
  /** Payload of all TCP downloads together, at the same times. */
  readonly tcpBytes: readonly number[];
  /** Share of the sender's packets that the queue dropped. */
  readonly queueDropRatio: number;
  /** Share of the link's rate that payload took between two times. */
  goodputRatio(fromMs: number, toMs: number): number;
  /** The same of the TCP downloads. */
  tcpRatio(fromMs: number, toMs: number): number;
  readonly pacer: Pacer;
}

export const SAMPLE_MS = 100;
const PACKET_PAYLOAD_BYTES = 1_400;
const PACKET_HEADER_BYTES = 80;
const CHUNK_MS = 1;
const CHUNK_PACKETS_MIN = 2;
const CHUNK_PACKETS_MAX = 40;
const PING_MS = 250;
const FEEDBACK_BYTES = 150;
/** The receiver's clock is another one. */
const CLOCK_OFFSET_MS = 12_345.678;

/** Runs the path to its end. */
export function simulatePacedPath(options: PacedPathOptions): PacedPathResult {
  return new PacedPath(options).run();
}

class PacedPath {
  readonly #events = new EventQueue();
  readonly #forward: LinkModel;
  readonly #backward: LinkModel;
  readonly #lateness: Random;
  readonly #senderAt: (ms: number) => number;
  readonly #linkAt: (ms: number) => number;
  readonly #receiverAt: (ms: number) => number;
  readonly #sender = new PathSender();
  readonly #receiver = new PathReceiver();
  #isReportDue = false;
  #sentBytes = 0;
  #receivedBytes = 0;
  #offeredBytes = 0;
  #offeredAtMs = 0;

  constructor(readonly options: PacedPathOptions) {
    const { profile, seed, pauses } = options;
    this.#forward = new LinkModel(profile, "forward", seed, 0);
    this.#backward = new LinkModel(profile, "backward", seed, 0);
    this.#lateness = new Random(seed, "lateness");
    const awakeAt = (program: "sender" | "link" | "receiver") =>
      stalling(program, options, pausing(new Random(seed, `${program} pauses`), pauses));
    this.#senderAt = awakeAt("sender");
    this.#linkAt = awakeAt("link");
    this.#receiverAt = awakeAt("receiver");
  }

  run(): PacedPathResult {
    const { seconds, profile, changes = [] } = this.options;
    const receivedBytes: number[] = [];
    const queueMs: (number | null)[] = [];
    const tcpBytes: number[] = [];
    const world = {
      forward: this.#forward,
      backward: this.#backward,
      at: (ms: number, happen: (nowMs: number) => void) => this.#events.add(ms, happen),
    };
    const flows = (this.options.tcpFromMs ?? []).map((fromMs) => new TcpFlow(world, fromMs));
    for (const { atMs, apply } of changes) this.#events.add(atMs, () => apply(this.#forward));
    for (let ms = 0; ms <= seconds * 1000; ms += SAMPLE_MS) {
      this.#events.add(ms, () => {
        receivedBytes.push(this.#receivedBytes);
        queueMs.push(this.#sender.delay.queueMs(ms));
        tcpBytes.push(flows.reduce((sum, flow) => sum + flow.deliveredBytes, 0));
        const { cap } = this.options;
        if (cap) this.#sender.setCap(cap(this.#path(ms), ms), ms);
      });
    }
    this.#events.add(0, (ms) => this.#ping(ms));
    this.#events.add(0, (ms) => this.#send(ms));
    this.#events.runUntil(seconds * 1000);
    const { droppedPackets, offeredPackets } = this.#forward.counters();
    const ratio = (totals: readonly number[], fromMs: number, toMs: number) => {
      const bytes = totals[toMs / SAMPLE_MS] - totals[fromMs / SAMPLE_MS];
      return bytes * 8000 / (toMs - fromMs) / profile.forward.rateBitsPerSecond;
    };
    return {
      receivedBytes,
      queueMs,
      tcpBytes,
      queueDropRatio: droppedPackets.queue / offeredPackets,
      goodputRatio: (fromMs, toMs) => ratio(receivedBytes, fromMs, toMs),
      tcpRatio: (fromMs, toMs) => ratio(tcpBytes, fromMs, toMs),
      pacer: this.#sender.pacer,
    };
  }

  #send(nowMs: number): void {
    const rateBytesPerSecond = Math.min(
      this.#sender.pacer.rateBytesPerSecond,
      this.#sender.capBytesPerSecond ?? Infinity,
    );
    const packets = Math.min(
      CHUNK_PACKETS_MAX,
      Math.max(
        CHUNK_PACKETS_MIN,
        Math.round(rateBytesPerSecond * CHUNK_MS / 1000 / PACKET_PAYLOAD_BYTES),
      ),
    );
    const chunkBytes = packets * PACKET_PAYLOAD_BYTES;
    let waitMs = this.#sender.waitMs(nowMs);
    waitMs = Math.max(waitMs, this.#sender.capWaitMs(nowMs));
    if (waitMs === 0 && this.#sender.isWindowFull(nowMs)) waitMs = 1;
    if (waitMs === 0 && !this.#hasData(chunkBytes, nowMs)) waitMs = 1;
    if (waitMs > 0) {
      const lateMs = 0.1 + 1.3 * this.#lateness.nextRatio();
      this.#later(nowMs + Math.ceil(waitMs) + lateMs, this.#senderAt, (ms) => this.#send(ms));
      return;
    }
    const packetBytes = packets * (PACKET_PAYLOAD_BYTES + PACKET_HEADER_BYTES);
    const mark = this.#sender.sent(chunkBytes, 0, nowMs, packetBytes);
    this.#sentBytes += chunkBytes;
    for (let packet = 0; packet < packets; packet++) {
      this.#packet(nowMs, packet === 0 ? mark : null);
    }
    this.#events.add(nowMs, (ms) => this.#send(ms));
  }

  #path(nowMs: number): PathMeasurement {
    const { estimate, delay, pacer } = this.#sender;
    return {
      roundTripMs: estimate.roundTripMs,
      minRoundTripMs: estimate.minRoundTripMs,
      bottleneckBytesPerSecond: pacer.bottleneckBytesPerSecond,
      goodputBytesPerSecond: estimate.goodputBytesPerSecond(nowMs),
      lossRatio: estimate.lossRatio(),
      queueMs: delay.queueMs(nowMs),
      jitterMs: delay.jitterMs,
      silentMs: 0,
    };
  }

  #hasData(chunkBytes: number, nowMs: number): boolean {
    const { offeredBytesPerSecond } = this.options;
    if (offeredBytesPerSecond === undefined) return true;
    this.#offeredBytes += (nowMs - this.#offeredAtMs) * offeredBytesPerSecond / 1000;
    this.#offeredAtMs = nowMs;
    if (this.#offeredBytes < chunkBytes) return false;
    this.#offeredBytes -= chunkBytes;
    return true;
  }

  #packet(nowMs: number, mark: Mark | null): void {
    this.#later(nowMs, this.#linkAt, (ms) => {
      const verdict = this.#forward.offer(PACKET_PAYLOAD_BYTES + PACKET_HEADER_BYTES, ms);
      if (verdict !== "delivered") {
        const againMs = ms + 1.15 * (this.#sender.estimate.roundTripMs ?? 100) + 3;
        this.#later(againMs, this.#senderAt, (late) => this.#packet(late, null));
        return;
      }
      this.#later(this.#forward.arrivalMs, this.#receiverAt, (arrivedMs) => {
        this.#receivedBytes += PACKET_PAYLOAD_BYTES;
        if (mark === null) return;
        this.#receiver.mark(mark, arrivedMs + CLOCK_OFFSET_MS);
        this.#reportSoon(arrivedMs);
      });
    });
  }

  #ping(nowMs: number): void {
    if (this.#forward.offer(FEEDBACK_BYTES, nowMs) === "delivered") {
      this.#later(this.#forward.arrivalMs, this.#receiverAt, (ms) => {
        this.#receiver.ping(nowMs, ms + CLOCK_OFFSET_MS);
        this.#report(ms);
      });
    }
    this.#events.add(nowMs + PING_MS, (ms) => this.#ping(ms));
  }

  #reportSoon(nowMs: number): void {
    if (this.#isReportDue) return;
    this.#isReportDue = true;
    const ms = Math.min(
      50,
      Math.max(2, Math.round((this.#sender.estimate.minRoundTripMs ?? 0) / 6)),
    );
    const lateMs = 0.1 + 1.3 * this.#lateness.nextRatio();
    this.#later(nowMs + ms + lateMs, this.#receiverAt, (dueMs) => {
      this.#isReportDue = false;
      this.#report(dueMs);
    });
  }

  #report(nowMs: number): void {
    const fields = this.#receiver.feedback(nowMs + CLOCK_OFFSET_MS, 0, [0, this.#receivedBytes]);
    if (this.#backward.offer(FEEDBACK_BYTES, nowMs) !== "delivered") return;
    this.#later(
      this.#backward.arrivalMs,
      this.#senderAt,
      (ms) => this.#take({ kind: "feedback", ...fields }, ms),
    );
  }

  /** What a program does when it is next awake. */
  #later(atMs: number, awakeAt: (ms: number) => number, happen: (nowMs: number) => void): void {
    this.#events.add(atMs, (ms) => {
      const awakeMs = awakeAt(ms);
      if (awakeMs > ms) this.#events.add(awakeMs, happen);
      else happen(ms);
    });
  }

  #take(feedback: Feedback, nowMs: number): void {
    this.#sender.take(feedback, this.#sentBytes, feedback.laneBytes[1], nowMs);
  }
}

/** Moves times that fall into a pause of a program to its end. */
function pausing(
  random: Random,
  pauses: PacedPathOptions["pauses"],
): (ms: number) => number {
  if (!pauses) return (ms) => ms;
  const exponential = (meanMs: number) => -Math.log(1 - random.nextRatio()) * meanMs;
  let endMs = 0;
  let nextMs = exponential(pauses.everyMs);
  return (ms) => {
    while (ms >= nextMs) {
      endMs = nextMs + exponential(pauses.meanMs);
      nextMs = endMs + exponential(pauses.everyMs);
    }
    return Math.max(ms, endMs);
  };
}

/** Moves times that fall into a stall of a program to its end. */
function stalling(
  program: "sender" | "link" | "receiver",
  { stalls = [] }: PacedPathOptions,
  awakeAt: (ms: number) => number,
): (ms: number) => number {
  const own = stalls.filter((stall) => stall.program === program || stall.program === "host");
  return (ms) => {
    const stall = own.find(({ atMs, durationMs }) => ms >= atMs && ms < atMs + durationMs);
    return awakeAt(stall ? stall.atMs + stall.durationMs : ms);
  };
}

interface TimedEvent {
  readonly atMs: number;
  readonly number: number;
  readonly happen: (nowMs: number) => void;
}

/** Events by time, and of one time by age: a binary heap. */
class EventQueue {
  readonly #heap: TimedEvent[] = [];
  #nextNumber = 0;

  add(atMs: number, happen: (nowMs: number) => void): void {
    const event = { atMs, number: this.#nextNumber++, happen };
    let at = this.#heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, this.#heap[parent])) break;
      this.#heap[at] = this.#heap[parent];
      at = parent;
    }
    this.#heap[at] = event;
  }

  runUntil(endMs: number): void {
    while (this.#heap.length > 0 && this.#heap[0].atMs <= endMs) {
      const { atMs, happen } = this.#take();
      happen(atMs);
    }
  }

  #take(): TimedEvent {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop() as TimedEvent;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(left: TimedEvent, right: TimedEvent): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.number < right.number);
}
