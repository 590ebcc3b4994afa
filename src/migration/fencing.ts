import { GatewayError } from "../core/errors.ts";
import type { OwnershipRecord } from "./ports.ts";

/** What decides whether this site may still run a machine. */
export interface Fenced {
  readonly site: string;
  readonly guestId: string;
  /** This site's record of the guest's owner, with the highest epoch; read at each call. */
  readonly ownership: () => OwnershipRecord | null;
}

/**
 * The one way to an effect that could start a machine here. The epoch is a fencing token: whoever acts
 * with one that a later decision has overtaken does nothing. The ledger is asked at the moment of the
 * effect, and again at each try (Kleppmann, "How to do distributed locking", 2016, on tokens).
 *
 * @param epoch that the caller acts by
 * @param effect starts, resumes or gives back the machine
 * @throws {GatewayError} `epoch_fenced`: nothing was done; and what `effect` throws
 */
export async function withToken<T>(
  { site, guestId, ownership }: Fenced,
  epoch: number,
  effect: () => Promise<T>,
): Promise<T> {
  const record = ownership();
  if (record === null || record.owner === site || record.epoch < epoch) return await effect();
  const owner = record.owner ?? "nobody (refused)";
  throw new GatewayError(
    "epoch_fenced",
    `Cannot run ${guestId} here by epoch ${epoch}: epoch ${record.epoch} gave it to ${owner}`,
    { hint: "Look at the history of the guest at both sites; the machine runs at its owner" },
  );
}
