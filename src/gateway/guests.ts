import { GatewayError, toGatewayError } from "../core/errors.ts";
import { type GuestDefinition, guestDefinition } from "../guest/definition.ts";
import type { Guest, GuestDescription } from "../guest/guest.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { requireOwner } from "./ownership.ts";

/**
 * Attaches to a machine, launching it where its definition says so and `launch` allows it. After a
 * restart of the gateway nothing is launched: a machine that is gone stays gone until somebody
 * registers it again.
 */
export type AttachGuest = (request: {
  readonly id: string;
  readonly definition: GuestDefinition;
  readonly launch: boolean;
}) => Promise<Guest>;

export interface RegisteredGuest {
  readonly id: string;
  readonly definition: GuestDefinition;
  /** `incoming` until the machine runs here. */
  role: "source" | "incoming";
  /** Null while it cannot be attached; `problem` says why. */
  guest: Guest | null;
  problem: GatewayError | null;
}

/** The machines that this site knows, kept in the ledger across restarts. */
export class GuestRegistry {
  readonly #guests = new Map<string, RegisteredGuest>();

  constructor(
    private readonly site: string,
    private readonly ledger: Ledger,
    private readonly attach: AttachGuest,
  ) {}

  list(): RegisteredGuest[] {
    return [...this.#guests.values()].sort((a, b) => a.id < b.id ? -1 : 1);
  }

  find(id: string): RegisteredGuest | null {
    return this.#guests.get(id) ?? null;
  }

  /** @throws {GatewayError} `guest_unknown` */
  get(id: string): RegisteredGuest {
    const found = this.find(id);
    if (found) return found;
    const known = this.list().map((guest) => guest.id).join(", ") || "none";
    throw new GatewayError("guest_unknown", `Cannot find guest ${id}: it is not registered here`, {
      hint: `Register it with PUT /v1/guests/${id}; known: ${known}`,
    });
  }

  /** The attached machine. @throws {GatewayError} `guest_unknown`, or why it cannot be reached */
  async machine(id: string): Promise<Guest> {
    const entry = this.get(id);
    if (entry.guest && await isThere(entry.guest)) return entry.guest;
    await this.#letGo(entry);
    return await this.#attach(entry, false);
  }

  /**
   * As `machine`, for a machine that was to arrive here: where no process has its monitor any more it
   * is gone, and a move need not wait until somebody starts another one there.
   *
   * @param started it may have been started here: then a monitor's file that is missing says nothing
   * @throws {GatewayError} `guest_gone`, and as `machine`
   */
  async arrivedMachine(id: string, started: boolean): Promise<Guest> {
    try {
      return await this.machine(id);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      if (error.code !== "guest_unreachable" || !hasEnded(error.cause, started)) throw error;
      throw new GatewayError("guest_gone", `The machine ${id} has ended: ${error.message}`, {
        hint: `Start its QEMU again with -incoming defer, then move it here once more`,
        cause: error,
      });
    }
  }

  /**
   * The machine that waits for a move. One that the gateway launches is started afresh where an
   * earlier try ended it; started as incoming it runs nothing, so that is safe at any time.
   *
   * @throws {GatewayError} as `machine`
   */
  async incomingMachine(id: string): Promise<Guest> {
    const entry = this.get(id);
    if (entry.guest && await isThere(entry.guest)) return entry.guest;
    await this.#letGo(entry);
    return await this.#attach(entry, entry.role === "incoming" && !("qmp" in entry.definition));
  }

  /** Attaches to everything in the ledger; a machine that is not there only gets its problem noted. */
  async restore(): Promise<void> {
    await Promise.all(
      this.ledger.guests().map(async (stored) => {
        const parsed = guestDefinition.safeParse(stored.definition);
        if (!parsed.success) return;
        const entry: RegisteredGuest = {
          id: stored.id,
          definition: parsed.data,
          role: stored.role,
          guest: null,
          problem: null,
        };
        this.#guests.set(stored.id, entry);
        await this.#attach(entry, false).catch(() => {});
      }),
    );
  }

  /**
   * Registers and attaches; the same definition again re-attaches a machine that is gone.
   *
   * @throws {GatewayError} `guest_exists`, `guest_lives_elsewhere`, and what attaching throws
   */
  async put(id: string, definition: GuestDefinition): Promise<{ created: boolean }> {
    const known = this.find(id);
    const there = known?.guest ? await isThere(known.guest) : false;
    if (known && there && !sameDefinition(known.definition, definition)) {
      throw new GatewayError("guest_exists", `Cannot register ${id}: it is registered otherwise`, {
        hint: `Send DELETE /v1/guests/${id} first; the machine goes on`,
      });
    }
    if (known && there) {
      // One that waits here is a new process behind the same monitor: what ran here has ended.
      const isNew = definition.role === "incoming" && known.role === "source" &&
        await known.guest?.runState() === "incoming";
      if (isNew) this.setRole(id, "incoming");
      return { created: false };
    }
    if (definition.role === "source") {
      requireOwner(this.ledger.ownership(id), this.site, `register ${id} as running here`);
    }
    await known?.guest?.detach().catch(() => {});
    const entry: RegisteredGuest = {
      id,
      definition,
      role: definition.role,
      guest: null,
      problem: null,
    };
    await this.#attach(entry, true);
    this.ledger.putGuest({ id, definition, role: definition.role });
    this.#guests.set(id, entry);
    return { created: !known };
  }

  /**
   * A machine that moved away waits here to come back: what is left of the old one, which stands
   * still with a state that is past, ends, and its definition is started as incoming.
   *
   * @throws {GatewayError} `destination_not_registered` for one that the gateway did not start, and
   * for one that runs; what starting throws
   */
  async readmit(id: string): Promise<void> {
    const { definition, guest } = this.get(id);
    if ("qmp" in definition) {
      throw new GatewayError(
        "destination_not_registered",
        `Cannot take ${id} back: its QEMU at ${this.site} was started by somebody else`,
        {
          hint: `Start one with -incoming defer at ${this.site}, register it with role "incoming"`,
        },
      );
    }
    // Attached anew where only the attachment was lost: what still runs must be seen.
    const left = guest && await isThere(guest) ? guest : await this.machine(id).catch(() => null);
    const runState = await left?.runState() ?? "gone";
    // One that waits was started by a try that the gateway did not outlive: it has run nothing.
    if (runState !== "gone" && runState !== "postmigrate" && runState !== "incoming") {
      throw new GatewayError(
        "destination_not_registered",
        `Cannot take ${id} back: a machine of that name is ${runState} at ${this.site}`,
        { hint: `Remove it first: DELETE /v1/guests/${id}?end=true` },
      );
    }
    if (runState !== "gone") await left?.end();
    await this.put(id, { ...definition, role: "incoming" });
  }

  /** The machine has come to run here: it can leave again. */
  setRole(id: string, role: "source" | "incoming"): void {
    const entry = this.find(id);
    if (!entry) return;
    entry.role = role;
    this.ledger.putGuest({ id, definition: entry.definition, role });
  }

  /** Forgets the guest; `end` ends its machine, otherwise it goes on. */
  async remove(id: string, end: boolean): Promise<void> {
    const entry = this.get(id);
    if (end) await entry.guest?.end();
    else await entry.guest?.detach();
    this.#guests.delete(id);
    this.ledger.deleteGuest(id);
  }

  async detachAll(): Promise<void> {
    await Promise.all(this.list().map(({ guest }) => guest?.detach().catch(() => {})));
  }

  /** A lost attachment may still hold streams and exports of the machine: they end with it. */
  async #letGo(entry: RegisteredGuest): Promise<void> {
    const lost = entry.guest;
    entry.guest = null;
    await lost?.detach().catch(() => {});
  }

  async #attach(entry: RegisteredGuest, launch: boolean): Promise<Guest> {
    try {
      entry.guest = await this.attach({ id: entry.id, definition: entry.definition, launch });
      entry.problem = null;
      return entry.guest;
    } catch (error) {
      entry.problem = toGatewayError(error);
      throw entry.problem;
    }
  }
}

/** The description of a machine, or null while it cannot be asked. */
export async function describeIfThere(guest: Guest | null): Promise<GuestDescription | null> {
  return guest === null ? null : await guest.describe().catch(() => null);
}

/**
 * What the system says of the socket of a monitor. A QEMU that lives listens: refused means that it
 * does not. Only one that was never started may be taken for gone because the file is.
 */
function hasEnded(cause: unknown, started: boolean): boolean {
  return cause instanceof Deno.errors.ConnectionRefused ||
    !started && cause instanceof Deno.errors.NotFound;
}

async function isThere(guest: Guest): Promise<boolean> {
  return (await guest.runState().catch(() => "gone")) !== "gone";
}

function sameDefinition(a: GuestDefinition, b: GuestDefinition): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
