import { DiskOfferReader } from "../../codec/disk_offer.ts";
import { GatewayError, toGatewayError } from "../../core/errors.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { Move } from "./move.ts";

/**
 * Waits for what the destination says its disks hold already, where it said that it will. Hashing a
 * large image takes minutes there, and an outage of the link its time: only the move's interrupt
 * ends the wait.
 *
 * A payload that cannot be read ends the move with `batch_invalid` or `frame_invalid`.
 */
export async function takeDiskOffer(move: Move): Promise<void> {
  if (!move.courier.diskOffer) return;
  const reader = new DiskOfferReader(move.planner!.maps);
  move.diskChannel!.receive(({ type, payload }) => {
    try {
      if (type !== FRAME_TYPES.diskOffer) throw unexpected(type);
      reader.read(payload);
    } catch (error) {
      move.interrupt.raise(toGatewayError(error));
    }
    if (reader.complete) move.changes.notify();
    return Promise.resolve();
  });
  move.deps.draft.phase = "waiting for what the destination's disks hold already";
  move.publish();
  await move.interrupt.race(move.changes.until(() => reader.complete));
}

function unexpected(type: number): GatewayError {
  return new GatewayError("frame_invalid", `Cannot read a frame of type ${type} of an offer`, {
    hint: "Check that both gateways run the same version",
  });
}
