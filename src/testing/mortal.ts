import type { Clock } from "../core/clock.ts";
import type { AttachGuest } from "../gateway/guests.ts";
import type { Guest } from "../guest/guest.ts";
import { interceptGuest } from "./guest_faults.ts";

/**
 * The life of one gateway inside a test process. When it ends, whatever that gateway still waits for
 * never comes: no timer fires, no machine answers, no event is heard. So it stops where it stands,
 * as a killed process does, while its successor starts on the same directory.
 */
export class Life {
  readonly #end = new AbortController();
  readonly #guests = new Set<Guest>();

  get isOver(): boolean {
    return this.#end.signal.aborted;
  }

  /** Ends it; the machines find their sockets closed, as the kernel does for a process. */
  async kill(): Promise<void> {
    this.#end.abort();
    await Promise.all([...this.#guests].map((guest) => guest.detach().catch(() => {})));
  }

  /** `work` while alive; afterwards a promise that never settles. */
  pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.isOver) return new Promise(() => {});
    return new Promise((resolve, reject) => {
      work().then(
        (value) => void (this.isOver || resolve(value)),
        (error) => void (this.isOver || reject(error)),
      );
    });
  }

  clock(clock: Clock): Clock {
    return {
      wallMs: () => clock.wallMs(),
      nowMs: () => clock.nowMs(),
      sleep: (ms, signal) =>
        this.pass(() =>
          clock.sleep(ms, AbortSignal.any([this.#end.signal, ...signal ? [signal] : []]))
        ),
    };
  }

  attach(attach: AttachGuest): AttachGuest {
    return async (request) => {
      const guest = await this.pass(() => attach(request));
      this.#guests.add(guest);
      return interceptGuest(guest, (_, call) => this.pass(call), () => !this.isOver);
    };
  }
}
