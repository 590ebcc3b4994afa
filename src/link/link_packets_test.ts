import assert from "node:assert/strict";
import { encodeRecord, RECORD_TYPES } from "../wire/frame.ts";
import type { Carrier } from "./carrier.ts";
import { LinkPackets } from "./link_packets.ts";
import { type DatagramLane, QuicPackets } from "./quic_packets.ts";

/** Two ends of a link joined by records alone, as TLS has them. */
function joinedByRecords(hold = false) {
  const sent: { record: Uint8Array; urgent: boolean }[] = [];
  const carrier = {
    send(record: Uint8Array, urgent: boolean) {
      sent.push({ record, urgent });
      return hold ? new Promise<void>(() => {}) : Promise.resolve();
    },
  } as unknown as Carrier;
  const far = new LinkPackets(() => null);
  const heard: string[] = [];
  far.receive((packet) => heard.push(packet.join()));
  const session: number[] = [];
  const listen = far.listen({} as Carrier, (record) => session.push(record[0]));
  return { near: new LinkPackets(() => carrier), sent, listen, heard, session };
}

Deno.test("without datagrams packets go as urgent records, which the session may ignore", () => {
  const { near, sent, listen, heard, session } = joinedByRecords();
  assert.ok(near.send(Uint8Array.of(1, 2, 3)));
  assert.equal(sent[0].urgent, true);
  listen(sent[0].record);
  listen(Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0));
  listen(encodeRecord(RECORD_TYPES.packet, new Uint8Array(5_000)));
  assert.deepEqual(heard, ["1,2,3"]);
  assert.deepEqual(session, [130, 5, 130]);
});

Deno.test("packets that a connection does not take are dropped, and do not pile up", () => {
  const { near, sent } = joinedByRecords(true);
  const taken = Array.from({ length: 200 }, () => near.send(new Uint8Array(100)));
  assert.equal(taken.filter((each) => each).length, 64);
  assert.equal(sent.length, 64);
  assert.equal(near.send(new Uint8Array(2_000)), false);
  assert.equal(new LinkPackets(() => null).send(new Uint8Array(1)), false);
});

Deno.test("with datagrams packets are as long as one takes, and others' datagrams are left alone", () => {
  const datagrams: Uint8Array[] = [];
  const lane: DatagramLane = {
    conn: { maxDatagramSize: 100 },
    sendDatagram: (bytes) => void datagrams.push(bytes),
  };
  const packets = new QuicPackets(() => lane);
  const carrier = { packets } as unknown as Carrier;
  const link = new LinkPackets(() => carrier);
  const heard: number[] = [];
  link.receive((packet) => heard.push(packet.length));
  link.listen(carrier, () => {});
  assert.equal(link.bytesMax, 99);
  assert.ok(link.send(new Uint8Array(99)));
  assert.equal(link.send(new Uint8Array(100)), false);
  assert.ok(packets.heard(datagrams[0]));
  assert.equal(packets.heard(Uint8Array.of(2, 0)), false);
  assert.deepEqual(heard, [99]);
});
