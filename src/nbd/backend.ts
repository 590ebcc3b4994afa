import type { Extent } from "../core/extents.ts";
import { GatewayError } from "../core/errors.ts";
import { ERRNO, type ErrnoName } from "./protocol/errno.ts";

/**
 * A block store that a server offers. Ranges are inside `[0, sizeBytes)` and never empty; calls
 * overlap. To fail a request, throw `NbdBackendError`, or what `node:fs` throws.
 */
export interface NbdBackend {
  readonly sizeBytes: number;
  readonly readOnly?: boolean;
  read(offsetBytes: number, into: Uint8Array): Promise<void>;
  write(offsetBytes: number, bytes: Uint8Array): Promise<void>;
  /** Makes a range read as zeroes; with `noHole` its room stays reserved. */
  zero(offsetBytes: number, lengthBytes: number, options: { noHole: boolean }): Promise<void>;
  /** Makes every write that was resolved before, by whichever connection, durable. */
  flush(): Promise<void>;
  /**
   * Which parts read as zeroes: sorted, from `offsetBytes` on without gaps, at least one extent;
   * it may end early. Without it the server has no `base:allocation`.
   */
  status?(offsetBytes: number, lengthBytes: number): Promise<Extent[]>;
}

/** A failure that a backend chose; the client sees `errno` and `message`. */
export class NbdBackendError extends Error {
  override readonly name = "NbdBackendError";

  constructor(readonly errno: ErrnoName, message: string) {
    super(message);
  }
}

/** What the client is told about a backend's failure. Foreign messages stay here. */
export function failureOf(cause: unknown): { errno: number; message: string } {
  if (cause instanceof NbdBackendError) {
    return { errno: ERRNO[cause.errno], message: cause.message };
  }
  if (cause instanceof GatewayError && cause.code === "disk_full") {
    return { errno: ERRNO.ENOSPC, message: cause.message };
  }
  const code = (cause as { code?: unknown } | null)?.code;
  if (typeof code === "string" && code in ERRNO) {
    return { errno: ERRNO[code as ErrnoName], message: "" };
  }
  return { errno: ERRNO.EIO, message: "" };
}
