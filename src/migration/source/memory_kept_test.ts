import assert from "node:assert/strict";
import { createMemoryEncoder } from "../../codec/memory_encoder.ts";
import type { MemorySource } from "../../guest/guest.ts";
import { DigestIndex } from "../../image/digest_index.ts";
import { PageImage } from "../../image/page_image.ts";
import { memorySpill } from "../../image/testing/memory_spill.ts";
import type { Channel } from "../../link/peer_link.ts";
import { TrafficMeter } from "../traffic.ts";
import { KEPT_IN_FLIGHT_BYTES_MAX, MemoryPump } from "./memory.ts";
import { SentPages } from "./sent_pages.ts";
import { FedStream, settle } from "./testing/fed_pump.ts";

const openSpilled = (pageBytes: number) => new PageImage(pageBytes, 0, memorySpill(pageBytes));

Deno.test("kept pages wait for the destination, which takes longer over them than the link", async () => {
  // Pages as large as they come: kept ones of twice what may be on the way.
  const pageBytes = 65_536;
  const pages = 2 * KEPT_IN_FLIGHT_BYTES_MAX / pageBytes;
  const layout = {
    kind: "layout",
    pageBytes,
    section: 0,
    blocks: [{ name: "ram", lengthBytes: pages * pageBytes }],
  } as const;
  const contents = new Uint8Array(pages * pageBytes).map((_, at) => (at >> 16) % 255 + 1);
  const image = new PageImage(pageBytes, 0, memorySpill(pageBytes));
  for (let page = 0; page < pages; page++) {
    image.set(page, contents.subarray(page * pageBytes, (page + 1) * pageBytes));
    image.ensureDigest(page);
    image.markWaiting(page);
  }
  const encoder = createMemoryEncoder({
    memory: { openImage: openSpilled, reachPages: () => Infinity },
    warm: { layout, image, index: new DigestIndex(image) },
  });
  const sent: (() => void)[] = [];
  const channel = {
    appliedByPeer: 0,
    get lastSent() {
      return sent.length;
    },
    send: () => Promise.resolve(sent.push(() => {})),
    whenAppliedByPeer: (sequence: number) =>
      new Promise<void>((resolve) => sent[sequence - 1] = resolve),
    apply(sequence: number) {
      this.appliedByPeer = sequence;
      sent[sequence - 1]();
    },
  };
  const stream = new FedStream();
  const pump = new MemoryPump(stream as unknown as MemorySource, {
    encoder,
    channel: channel as unknown as Channel,
    meter: new TrafficMeter(),
    sent: new SentPages(),
    clock: { nowMs: () => 0 },
    poolBytesMax: 2 * contents.byteLength,
    stop: new AbortController().signal,
  });
  const pageIndexes = Uint32Array.from({ length: pages }, (_, i) => i);
  stream.feed([layout, { kind: "pages", block: 0, pageIndexes, contents }]);
  stream.end();
  let mostBytes = 0;
  for (let applied = 1;; applied++) {
    // Sends until it waits.
    for (let before = -1; before !== sent.length;) {
      before = sent.length;
      for (let turn = 0; turn < 20; turn++) await settle();
    }
    mostBytes = Math.max(mostBytes, pump.keptInFlightBytes);
    if (applied > sent.length) break;
    channel.apply(applied);
  }
  await pump.drained;
  assert.equal(encoder.totals.saved.warm, pages * pageBytes);
  assert.ok(mostBytes > KEPT_IN_FLIGHT_BYTES_MAX / 2, `${mostBytes}`);
  // One take out of the pool more: what is encoded together is numbered together.
  assert.ok(mostBytes <= KEPT_IN_FLIGHT_BYTES_MAX + 64 * pageBytes, `${mostBytes}`);
  assert.equal(pump.keptInFlightBytes, 0);
});
