import type { Sealer } from "../codec/sealer.ts";
import type { Clock } from "../core/clock.ts";
import type { PageLimits } from "../image/page_memory.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { KeptImages } from "../migration/kept_images.ts";
import type { ImageRecords } from "../migration/ports.ts";
import type { PeerAcceptance } from "../security/accept_rules.ts";
import type { ImageRecordFiles } from "./image_records.ts";
import type { Fence } from "./fence.ts";
import type { GuestRegistry } from "./guests.ts";
import type { PeerRegistry } from "./peers.ts";
import type { Redirects } from "../redirect/redirects.ts";
import type { SiteContents } from "./site_contents.ts";

/** What the migrations of a site are made from; all of them share it. */
export interface MigrationDeps {
  readonly site: string;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly guests: GuestRegistry;
  readonly peers: PeerRegistry;
  readonly scratchDirectory: string;
  readonly pages: PageLimits;
  /** What this site keeps of what peers sent, and knows of what it sent them. */
  readonly contents: SiteContents;
  readonly sealer: Sealer;
  readonly kept: KeptImages;
  readonly images: ImageRecords & Pick<ImageRecordFiles, "has">;
  /** Called before this site starts a machine unasked; null where the site has no fence. */
  readonly fence: Fence | null;
  readonly redirects: Redirects;
  /** What this site takes from a peer, by the configuration of this moment. */
  readonly acceptance: (peer: string) => PeerAcceptance | null;
  readonly newId: () => string;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}
