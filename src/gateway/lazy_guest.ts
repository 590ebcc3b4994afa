import type { DestinationSide, Guest, GuestEvent, SourceSide } from "../guest/guest.ts";

/**
 * A machine that is looked up anew at each call: for moves that a restarted gateway takes up before
 * the machine's control socket answers again. A machine that cannot be reached throws at each call
 * what attaching threw, so that callers repeat; nothing is concluded from silence.
 */
export function lazyGuest(kind: Guest["kind"], find: () => Promise<Guest>): Guest {
  const listeners = new Map<(event: GuestEvent) => void, (() => void) | null>();
  let subscribed: Guest | null = null;
  const guest = async () => {
    const found = await find();
    if (found !== subscribed) {
      subscribed = found;
      for (const listener of listeners.keys()) listeners.set(listener, found.onEvent(listener));
    }
    return found;
  };
  return {
    kind,
    describe: async () => (await guest()).describe(),
    runState: async () => (await guest()).runState(),
    onEvent(listener) {
      listeners.set(listener, subscribed?.onEvent(listener) ?? null);
      return () => {
        listeners.get(listener)?.();
        listeners.delete(listener);
      };
    },
    source: forward<SourceSide>(async () => (await guest()).source),
    destination: forward<DestinationSide>(async () => (await guest()).destination),
    detach: async () => (await guest()).detach(),
    end: async () => (await guest()).end(),
  };
}

/** Every method of both sides is asynchronous, so each can wait for its target first. */
function forward<Side extends object>(target: () => Promise<Side>): Side {
  return new Proxy({} as Side, {
    get: (_, name) => async (...parameters: unknown[]) => {
      const side = await target();
      const method = side[name as keyof Side] as (...parameters: unknown[]) => Promise<unknown>;
      return await method.apply(side, parameters);
    },
  });
}
