import type { DiskRound, Guest, GuestEvent, MemorySource } from "../guest/guest.ts";

/**
 * Stands around every call to a machine: may refuse it, wait, or act before and after.
 *
 * @param name such as `runState`, `source.begin`, `destination.load`, `memory.finish`,
 * `memory.items` (each group of items) or `round.read`
 * @param call makes the call; not called, the machine never hears of it
 */
export type AroundCall = <T>(name: string, call: () => Promise<T>) => Promise<T>;

/** `guest` with `around` at each of its calls, and `hears` deciding which events pass. */
export function interceptGuest(
  guest: Guest,
  around: AroundCall,
  hears: (event: GuestEvent) => boolean = () => true,
): Guest {
  return intercepted(
    guest,
    {
      source: intercepted(
        guest.source,
        {
          startMemory: () =>
            around("source.startMemory", async () => {
              return interceptMemory(await guest.source.startMemory(), around);
            }),
          beginDiskRound: () =>
            around("source.beginDiskRound", async () => {
              const rounds = await guest.source.beginDiskRound();
              return rounds.map((round) => intercepted<DiskRound>(round, {}, "round.", around));
            }),
        },
        "source.",
        around,
      ),
      destination: intercepted(guest.destination, {}, "destination.", around),
      onEvent: (listener) => guest.onEvent((event) => hears(event) && listener(event)),
    },
    "",
    around,
  );
}

function interceptMemory(memory: MemorySource, around: AroundCall): MemorySource {
  return intercepted(
    memory,
    {
      async *items() {
        const items = memory.items()[Symbol.asyncIterator]();
        for (;;) {
          const next = await around("memory.items", () => items.next());
          if (next.done) return;
          yield next.value;
        }
      },
    },
    "memory.",
    around,
  );
}

/** `target` with `own` in place of some members and `around` at every other method. */
function intercepted<T extends object>(
  target: T,
  own: Partial<T>,
  prefix: string,
  around: AroundCall,
): T {
  return new Proxy(target, {
    get(_, key) {
      if (Object.hasOwn(own, key)) return own[key as keyof T];
      const member = target[key as keyof T];
      if (typeof member !== "function") return member;
      return (...parameters: unknown[]) =>
        around(`${prefix}${String(key)}`, () => member.apply(target, parameters));
    },
  });
}

type Fault = (call: () => Promise<unknown>) => Promise<unknown>;

/** Faults that a test puts at calls of machines, by site. Each one acts once unless told to stay. */
export class GuestFaults {
  readonly #faults = new Map<string, { readonly act: Fault; readonly stays: boolean }>();

  /**
   * At the next call of `name` (see `AroundCall`) of a machine at `site`, `act` decides.
   *
   * @returns resolves when `act` has been reached
   */
  at(site: string, name: string, act: Fault, { stays = false } = {}): Promise<void> {
    return new Promise((reached) => {
      this.#faults.set(`${site} ${name}`, {
        act: (call) => {
          reached();
          return act(call);
        },
        stays,
      });
    });
  }

  /** Holds the next call back until it is let through. */
  hold(site: string, name: string): { readonly reached: Promise<void>; readonly go: () => void } {
    const held = Promise.withResolvers<void>();
    const reached = this.at(site, name, async (call) => {
      await held.promise;
      return await call();
    });
    return { reached, go: held.resolve };
  }

  clear(site: string, name: string): void {
    this.#faults.delete(`${site} ${name}`);
  }

  around(site: string): AroundCall {
    return <T>(name: string, call: () => Promise<T>): Promise<T> => {
      const fault = this.#faults.get(`${site} ${name}`);
      if (!fault) return call();
      if (!fault.stays) this.clear(site, name);
      return fault.act(call) as Promise<T>;
    };
  }
}
