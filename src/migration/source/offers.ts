import { GatewayError } from "../../core/errors.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { Move } from "./move.ts";
import { SourceNames } from "./names.ts";

/**
 * Takes what the destination says on its direction of the memory channel, and waits for its offer:
 * some hundred KiB that spare what they name, before the machine is paused or its first byte is sent.
 */
export async function listenForOffers(move: Move): Promise<void> {
  const { id, link, options, draft, sentHints } = move.deps;
  const { store } = move.courier;
  if (store === null) return;
  const [memory, disk] = [move.memoryChannel!, move.diskChannel!];
  // Thrown from a handler it would close the control channel, which has to tell the destination.
  const broken = (error: unknown) => move.interrupt.raise(error);
  if (!options.disable.includes("duplicate")) {
    move.needsChannel = link.channel(id, "pageRequest");
    move.names = new SourceNames(
      store,
      sentHints,
      move.needsChannel,
      { memory, disk },
      (channel, contentCount, payloadBytes) => draft[channel].needed(contentCount, payloadBytes),
      broken,
    );
  }
  memory.receive(({ type, payload }) => {
    try {
      if (type !== FRAME_TYPES.storeOffer) throw unexpected(type);
      move.names?.offered.add(payload);
    } catch (error) {
      broken(error);
    }
    move.changes.notify();
    return Promise.resolve();
  });
  const { names } = move;
  if (names === null) return;
  await move.interrupt.race(move.changes.until(() => names.offered.isComplete));
}

function unexpected(type: number): GatewayError {
  return new GatewayError("frame_invalid", `Cannot take a frame of type ${type} on memory`, {
    hint: "Check that both gateways run the same version",
  });
}
