import { toGatewayError } from "../core/errors.ts";
import type { DestinationSide, Guest, GuestEvent, SourceSide } from "../guest/guest.ts";

/**
 * A machine that is attached when it is first needed, and anew after its control socket was lost:
 * for moves, which outlive both. While it cannot be reached each call throws what attaching threw, so
 * that callers repeat; nothing is concluded from silence. What was begun on an attachment that is
 * lost is lost with it: `restore` and `abandon` work on a fresh one.
 *
 * @param find attaches to it, or gives the attachment that there is
 * @param attached the present attachment, where there is one
 */
export function lazyGuest(
  kind: Guest["kind"],
  find: () => Promise<Guest>,
  attached: Guest | null = null,
): Guest {
  const listeners = new Map<(event: GuestEvent) => void, (() => void) | null>();
  let present = attached;
  let subscribed = attached;
  const on = async <T>(call: (guest: Guest) => Promise<T>): Promise<T> => {
    present ??= await find();
    const guest = present;
    if (guest !== subscribed) {
      subscribed = guest;
      for (const listener of listeners.keys()) listeners.set(listener, guest.onEvent(listener));
    }
    try {
      return await call(guest);
    } catch (error) {
      if (toGatewayError(error).code === "guest_unreachable" && present === guest) present = null;
      throw error;
    }
  };
  return {
    kind,
    describe: () => on((guest) => guest.describe()),
    sampleDirtyRate: (options) => on((guest) => guest.sampleDirtyRate(options)),
    runState: () => on((guest) => guest.runState()),
    onEvent(listener) {
      listeners.set(listener, subscribed?.onEvent(listener) ?? null);
      return () => {
        listeners.get(listener)?.();
        listeners.delete(listener);
      };
    },
    source: forward<SourceSide>((call) => on((guest) => call(guest.source))),
    destination: forward<DestinationSide>((call) => on((guest) => call(guest.destination))),
    detach: () => on((guest) => guest.detach()),
    end: () => on((guest) => guest.end()),
  };
}

/** Every method of both sides is asynchronous, so each can wait for its target first. */
function forward<Side extends object>(
  on: (call: (side: Side) => Promise<unknown>) => Promise<unknown>,
): Side {
  return new Proxy({} as Side, {
    get: (_, name) => (...parameters: unknown[]) =>
      on((side) => {
        const method = side[name as keyof Side] as (...given: unknown[]) => Promise<unknown>;
        return method.apply(side, parameters);
      }),
  });
}
