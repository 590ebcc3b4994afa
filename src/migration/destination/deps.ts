import type { Clock } from "../../core/clock.ts";
import type { Guest } from "../../guest/guest.ts";
import type { PageMemory } from "../../image/page_memory.ts";
import type { PeerLink } from "../../link/peer_link.ts";
import type { Journal } from "../journal.ts";
import type { KeptMemory } from "../kept_images.ts";
import type { MigrationOptions } from "../options.ts";
import type { MoveStore } from "../store.ts";
import type { ImageRecords, OwnershipRecord, RedirectPort } from "../ports.ts";
import type { DestinationEvent, DestinationState } from "./state.ts";

/** What the destination end of one migration is given. */
export interface DestinationActorDeps {
  readonly id: string;
  readonly site: string;
  readonly peer: string;
  readonly guestId: string;
  readonly guest: Guest;
  readonly link: PeerLink;
  readonly clock: Clock;
  readonly options: MigrationOptions;
  /** The epoch that the hand-over will carry. */
  readonly epoch: number;
  readonly journal: Journal<DestinationState, DestinationEvent>;
  /** This site's record of the guest's owner, with the highest epoch. */
  readonly ownership: () => OwnershipRecord | null;
  readonly scratchDirectory: string;
  /** Keeps what the machine's memory holds here while it arrives. */
  readonly pages: PageMemory;
  /** What earlier moves of the machine between both sites have left of it. */
  readonly kept: KeptMemory;
  /** Keeps what the disk images hold, from one move to the next. */
  readonly images: ImageRecords;
  /** The site's content store; null where it has none. */
  readonly store: MoveStore | null;
  /** How the machine's addresses follow it; without it they are nobody's concern. */
  readonly redirect?: Pick<RedirectPort, "prepare">;
  /** Hears the source on the control channel, after it was opened anew. */
  readonly listen: () => void;
  /** Something that the report shows has changed. */
  readonly changed: () => void;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}
