import type { Guest } from "../../guest/guest.ts";
import type { Ledger } from "../../ledger/ledger.ts";
import type { SimGuest } from "./guest.ts";
import type { Site } from "./site.ts";
import type { World } from "./world.ts";

/** A deliberate bug, put around the real code from outside. */
export interface Mutation {
  readonly name: string;
  /** What a gateway has for its ledger instead. */
  readonly ledger?: (ledger: Ledger, site: Site) => Ledger;
  /** What it has for an attached machine instead. */
  readonly guest?: (guest: SimGuest, site: Site) => Guest;
  /** Changes what cannot be wrapped. @returns puts it back */
  readonly patch?: (world: World) => () => void;
}
