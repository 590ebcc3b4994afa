import { z } from "@hono/zod-openapi";

/** Longest id of a guest: it becomes part of file and socket names. */
export const GUEST_ID_LENGTH_MAX = 64;

const GUEST_ID_RULE = `1 to ${GUEST_ID_LENGTH_MAX} of A-Z a-z 0-9 . _ - beginning with ` +
  "a letter or digit";

/** How guests are named by their operator. */
export const guestId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, GUEST_ID_RULE);

export const guestPath = z.object({ id: guestId });
/** Migrations and peers are looked up, not named here: what is unknown gets its own 404. */
export const migrationPath = z.object({ id: z.string().min(1).max(128) });
export const peerPath = z.object({ name: z.string().min(1).max(128) });

/** `true`, `1`, `false`, `0` or nothing at all, as `?end` alone means yes. */
export const flag = z.enum(["true", "false", "1", "0", ""])
  .transform((text) => text !== "false" && text !== "0");
