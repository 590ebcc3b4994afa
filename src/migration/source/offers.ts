import { plausibleLayout, WarmIntake } from "../../codec/warm_intake.ts";
import { GatewayError } from "../../core/errors.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { Move } from "./move.ts";
import { SourceNames } from "./names.ts";

interface Frame {
  readonly type: number;
  readonly payload: Uint8Array;
}

/**
 * Hears what the destination says on its direction of the memory channel: what it has of the machine's
 * memory from before, which it tells while the disks are copied, and what its site's store has of
 * this one. A frame that was not announced, or cannot be read, ends the move.
 *
 * @param takesWarm the destination was told that an offer of memory is welcome
 * @returns waits until the store's offer is complete: some hundred KiB that spare what they name,
 *   before the first byte is sent
 */
export function hearOffers(move: Move, takesWarm: boolean): () => Promise<void> {
  if (takesWarm) beginWarm(move);
  beginNames(move);
  const { store } = move.courier;
  const take = (frame: Frame) => {
    if (frame.type === FRAME_TYPES.memoryOffer && takesWarm) return move.warm?.take(frame);
    if (frame.type === FRAME_TYPES.storeOffer && store !== null) {
      return move.names?.offered.add(frame.payload);
    }
    throw unexpected(frame.type);
  };
  move.memoryChannel!.receive((frame) => {
    try {
      take(frame);
    } catch (error) {
      // Thrown from here it would close the control channel, which has to tell the destination.
      move.interrupt.raise(error);
    }
    move.changes.notify();
    return Promise.resolve();
  });
  return () =>
    move.interrupt.race(move.changes.until(() => move.names?.offered.isComplete ?? true));
}

function beginWarm(move: Move): void {
  const { kept, pages } = move.deps;
  const own = kept.take();
  const { warm, image } = move.courier;
  const layout = image && plausibleLayout(warm, move.description?.memoryBytes ?? 0);
  if (layout !== null) {
    move.warm = new WarmIntake(layout, own, (pageBytes) => pages.openImage(pageBytes));
  } else own?.image.close();
}

/** What the store is going to offer, and what moves to this peer have had applied, may be named. */
function beginNames(move: Move): void {
  const { id, link, options, draft, sentHints } = move.deps;
  const { store } = move.courier;
  if (store === null || options.disable.includes("duplicate")) return;
  move.needsChannel = link.channel(id, "pageRequest");
  move.names = new SourceNames(
    store,
    sentHints,
    move.needsChannel,
    { memory: move.memoryChannel!, disk: move.diskChannel! },
    (channel, contentCount, payloadBytes) => draft[channel].needed(contentCount, payloadBytes),
    (error) => move.interrupt.raise(error),
  );
}

function unexpected(type: number): GatewayError {
  return new GatewayError("frame_invalid", `Cannot take a frame of type ${type} on memory`, {
    hint: "Check that both gateways run the same version",
  });
}
