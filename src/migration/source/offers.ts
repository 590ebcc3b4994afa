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
  if (!options.disable.includes("duplicate")) {
    move.needsChannel = link.channel(id, "pageRequest");
    move.names = new SourceNames(
      store,
      sentHints,
      move.needsChannel,
      { memory, disk },
      (channel, contentCount, payloadBytes) => draft[channel].needed(contentCount, payloadBytes),
    );
  }
  memory.receive(({ type, payload }) => {
    if (type !== FRAME_TYPES.storeOffer) {
      throw new GatewayError("frame_invalid", `Cannot take a frame of type ${type} on memory`, {
        hint: "Check that both gateways run the same version",
      });
    }
    move.names?.offered.add(payload);
    move.changes.notify();
    return Promise.resolve();
  });
  const { names } = move;
  if (names === null) return;
  await move.interrupt.race(move.changes.until(() => names.offered.isComplete));
}
