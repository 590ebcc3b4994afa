import { systemClock } from "../../src/host/system_clock.ts";
import type { Carrier } from "../../src/link/carrier.ts";
import { createSessionLink } from "../../src/link/session_link.ts";
import { FRAME_TYPES } from "../../src/wire/frame_types.ts";

const MIGRATION_ID = "00000000-0000-4000-8000-000000000001";

/** Sends the payloads through the sessions of two links, over a carrier that costs nothing. */
export async function throughSession(payloads: Iterable<Uint8Array>): Promise<void> {
  const clock = systemClock();
  const [near, far] = joinedCarriers();
  const source = createSessionLink({ peerName: "far", clock, dial: null, incarnation: "near" });
  const destination = createSessionLink({
    peerName: "near",
    clock,
    dial: null,
    incarnation: "far",
  });
  destination.onNewMigration((id) => {
    destination.channel(id, "memory").receive(() => Promise.resolve());
  });
  source.attach(near);
  destination.attach(far);
  const channel = source.channel(MIGRATION_ID, "memory");
  for (const payload of payloads) await channel.send(FRAME_TYPES.memoryBatch, payload);
  await channel.whenAppliedByPeer(channel.lastSent);
  await Promise.all([source.close(), destination.close()]);
}

type Handler = (record: Uint8Array) => Promise<void> | void;

function joinedCarriers(): [Carrier, Carrier] {
  const handlers = {
    near: Promise.withResolvers<Handler>(),
    far: Promise.withResolvers<Handler>(),
  };
  const closed = Promise.withResolvers<{ reason: string }>();
  const end = (own: "near" | "far", peer: "near" | "far"): Carrier => ({
    kind: "memory",
    peerName: peer,
    peerIncarnation: peer,
    async send(record) {
      await (await handlers[peer].promise)(record);
    },
    receive: (handler) => handlers[own].resolve(handler),
    deliveredBytes: 0,
    packetBytes: (recordBytes) => recordBytes,
    pace: () => {},
    path: () => ({
      roundTripMs: null,
      minRoundTripMs: null,
      bottleneckBytesPerSecond: null,
      goodputBytesPerSecond: null,
      lossRatio: null,
      queueMs: null,
      jitterMs: null,
      silentMs: null,
    }),
    closed: closed.promise,
    close(reason) {
      closed.resolve({ reason });
      return Promise.resolve();
    },
  });
  return [end("near", "far"), end("far", "near")];
}
