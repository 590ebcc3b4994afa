/**
 * A worker that packs batches. Its first message is the memory that it shares with its owner, every
 * other one a `SealJob`; it answers each with a `SealedSlot`. An error ends it, and its owner packs
 * what it had.
 */
import { pack } from "../codec/envelope.ts";
import { type SealedSlot, type SealJob, SealSlots } from "./slots.ts";

const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<SharedArrayBuffer | SealJob>) => void) | null;
  postMessage(answer: SealedSlot): void;
};
let slots: SealSlots | null = null;

scope.onmessage = ({ data }) => {
  if (data instanceof SharedArrayBuffer) {
    slots = new SealSlots(data);
    return;
  }
  if (slots === null) throw new TypeError("A job comes before the memory that it lies in");
  const payload = pack(slots.batchOf(data));
  const sealed = { slot: data.slot, payloadBytes: payload.byteLength };
  slots.payloadOf(sealed).set(payload);
  scope.postMessage(sealed);
};
