import { z } from "@hono/zod-openapi";

/** RFC 9457; `code`, `message` and `hint` are the contract's. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  code: z.string(),
  message: z.string(),
  hint: z.string(),
}).openapi("Problem");

/** An error inside of another answer, such as the reason why a migration failed. */
export const errorNote = z.object({ code: z.string(), message: z.string(), hint: z.string() });
