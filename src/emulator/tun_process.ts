/**
 * The process of a TUN link (see tun_link.ts): passes IP packets between two TUN devices through
 * the link model. One synchronous loop around ppoll, which keeps times to a tenth of a
 * millisecond; requests come as JSON lines on stdin, answers go to stdout. It ends with its stdin,
 * so it cannot outlive its parent, and the devices end with it.
 *
 * Needs `--allow-ffi` and root (or CAP_NET_ADMIN and CAP_SYS_ADMIN).
 */
import { LATE_MS } from "./delayed_sender.ts";
import { DueQueue } from "./due_queue.ts";
import { Libc } from "./libc.ts";
import { LinkModel } from "./link_model.ts";
import { PacketPool, type PooledPacket } from "./packet_pool.ts";
import type { TunAnswer, TunProcessCounters, TunRequest, TunSetup } from "./tun_messages.ts";

/** Packets read from one device before the other one and the due ones get their turn. */
const BATCH_PACKETS = 64;

const STDIN_FD = 0;

class TunProcess {
  readonly #queue = new DueQueue<PooledPacket>();
  readonly #pool: PacketPool;
  readonly #links: { forward: LinkModel; backward: LinkModel };
  readonly #leftFd: number;
  readonly #rightFd: number;
  #spare: PooledPacket;
  #sentPackets = 0;
  #latePackets = 0;
  #lateMsMax = 0;
  #failedSends = 0;

  constructor(readonly libc: Libc, setup: TunSetup) {
    this.#leftFd = libc.openTun(setup.left.netns, setup.left.device);
    this.#rightFd = libc.openTun(setup.right.netns, setup.right.device);
    this.#pool = new PacketPool(setup.mtuBytes);
    this.#spare = this.#pool.takeLarge();
    const startMs = performance.now();
    this.#links = {
      forward: new LinkModel(setup.profile, "forward", setup.seed, startMs),
      backward: new LinkModel(setup.profile, "backward", setup.seed, startMs),
    };
  }

  /** Passes packets until `onInput` says that the input has ended. */
  run(onInput: () => boolean): void {
    const poller = this.libc.poller([STDIN_FD, this.#leftFd, this.#rightFd]);
    for (;;) {
      this.#sendDue();
      poller.wait(this.#queue.nextDueMs - performance.now());
      if (poller.isReadable(1)) this.#readFrom(this.#leftFd, this.#rightFd, this.#links.forward);
      if (poller.isReadable(2)) this.#readFrom(this.#rightFd, this.#leftFd, this.#links.backward);
      if (poller.isReadable(0) && !onInput()) return;
    }
  }

  answer(request: TunRequest): TunAnswer {
    const nowMs = performance.now();
    const { forward, backward } = this.#links;
    const direction = "direction" in request ? request.direction : undefined;
    for (const link of direction ? [this.#links[direction]] : [forward, backward]) {
      if (request.command === "setProfile") link.setProfile(request.profile, nowMs);
      else if (request.command === "applyChange") link.change(request.settings);
      else if (request.command === "restore") link.restore();
      else if (request.command === "outage") {
        link.cut(nowMs, request.durationMs ?? Infinity, request.mode);
      }
    }
    return { event: "done", counters: this.#counters() };
  }

  #counters(): TunProcessCounters {
    return {
      forward: this.#links.forward.counters(),
      backward: this.#links.backward.counters(),
      inFlightPackets: this.#queue.length,
      sentPackets: this.#sentPackets,
      latePackets: this.#latePackets,
      lateMsMax: this.#lateMsMax,
      failedSends: this.#failedSends,
    };
  }

  #readFrom(fromFd: number, toFd: number, link: LinkModel): void {
    for (let count = 0; count < BATCH_PACKETS; count++) {
      const packetBytes = this.libc.read(fromFd, this.#spare.buffer);
      if (packetBytes <= 0) return;
      const verdict = link.offer(packetBytes, performance.now());
      if (verdict !== "delivered" && verdict !== "duplicated") continue;
      this.#spare.packetBytes = packetBytes;
      this.#spare.toFd = toFd;
      const packet = this.#pool.shrink(this.#spare);
      this.#spare = this.#pool.takeLarge();
      packet.references = verdict === "duplicated" ? 2 : 1;
      this.#queue.push(link.arrivalMs, packet);
      if (verdict === "duplicated") this.#queue.push(link.secondArrivalMs, packet);
    }
  }

  #sendDue(): void {
    for (;;) {
      const lateMs = performance.now() - this.#queue.nextDueMs;
      if (lateMs < 0) return;
      if (lateMs > this.#lateMsMax) this.#lateMsMax = lateMs;
      if (lateMs > LATE_MS) this.#latePackets++;
      const packet = this.#queue.pop();
      // Fails while the device is down; a cable that is not plugged in loses packets too.
      const written = this.libc.write(packet.toFd, packet.buffer, packet.packetBytes);
      if (written === packet.packetBytes) this.#sentPackets++;
      else this.#failedSends++;
      this.#pool.release(packet);
    }
  }
}

/** Whole lines of stdin, read without the runtime's event loop, which never gets a turn here. */
class Lines {
  readonly #chunk = new Uint8Array(65_536);
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(readonly libc: Libc) {}

  /** Waits for input; gives the lines it completed, or `null` at the end of the input. */
  read(): string[] | null {
    const byteCount = this.libc.read(STDIN_FD, this.#chunk);
    if (byteCount <= 0) return null;
    this.#rest += this.#decoder.decode(this.#chunk.subarray(0, byteCount), { stream: true });
    const lines = this.#rest.split("\n");
    this.#rest = lines.pop()!;
    return lines;
  }
}

function say(answer: TunAnswer): void {
  const bytes = new TextEncoder().encode(JSON.stringify(answer) + "\n");
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function main(): void {
  const libc = new Libc();
  const input = new Lines(libc);
  let process: TunProcess | null = null;
  /** False at the end of the input. */
  const onInput = () => {
    const lines = input.read();
    for (const line of lines ?? []) {
      if (process) say(process.answer(JSON.parse(line)));
      else {
        process = new TunProcess(libc, JSON.parse(line));
        say({ event: "ready" });
      }
    }
    return lines !== null;
  };
  try {
    while (process === null && onInput());
    (process as TunProcess | null)?.run(onInput);
  } catch (error) {
    say({ event: "failed", message: error instanceof Error ? error.message : String(error) });
    Deno.exitCode = 1;
  }
}

if (import.meta.main) main();
