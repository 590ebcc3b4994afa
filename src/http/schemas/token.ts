import { z } from "@hono/zod-openapi";
import { ROLES } from "../../security/roles.ts";
import type { TokenView } from "../../security/token_registry.ts";

const NAME_RULE = "1 to 64 of A-Z a-z 0-9 . _ - beginning with a letter or digit";
const TIME_RULE = "an RFC 3339 time with its zone";

const role = z.enum(ROLES).openapi({
  description: "read looks; operate moves registered machines, too; admin does everything",
});

/** A token without its text. */
export const tokenView: z.ZodType<TokenView> = z.object({
  id: z.string(),
  name: z.string(),
  role,
  state: z.enum(["active", "expired", "revoked"]),
  createdBy: z.string(),
  createdAt: z.string(),
  expiresAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
  lastUsedAt: z.string().nullable().openapi({ description: "To the minute" }),
}).openapi("Token");

/** Body of `POST /v1/tokens`. */
export const tokenRequest = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, NAME_RULE),
  role,
  expiresAt: z.iso.datetime({ offset: true, error: TIME_RULE }).nullable().default(null).openapi({
    description: "Null: until it is revoked",
  }),
});

/** Answer to `POST /v1/tokens`: the only time that the text is shown. */
export const createdToken: z.ZodType<TokenView & { token: string }> = z.object({
  id: z.string(),
  name: z.string(),
  role,
  state: z.enum(["active", "expired", "revoked"]),
  createdBy: z.string(),
  createdAt: z.string(),
  expiresAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
  lastUsedAt: z.string().nullable(),
  token: z.string().openapi({ description: "Shown this once; the gateway keeps its SHA-256" }),
}).openapi("CreatedToken");

/** An id; of a token in use its name does as well. */
export const tokenPath = z.object({ id: z.string().min(1).max(64) });
