import { createRoute, z } from "@hono/zod-openapi";
import { type HttpDeps, PROBLEM_ANSWER, router } from "../router.ts";

const ENTRIES_DEFAULT = 100;
const ENTRIES_MAX = 10_000;

const audit = createRoute({
  method: "get",
  path: "/v1/audit",
  tags: ["gateway"],
  summary: "Who was refused, who decided what: newest entries first",
  description: 'A page that is full has a header `Link: <…>; rel="next"` to the one before it.',
  request: {
    query: z.object({
      limit: z.coerce.number().int().min(1).max(ENTRIES_MAX).default(ENTRIES_DEFAULT),
      before: z.coerce.number().int().min(1).optional().openapi({
        description: "Only entries with a number below this one",
      }),
      kind: z.string().min(1).max(64).optional().openapi({
        description: "Only entries of one kind",
      }),
    }),
  },
  responses: {
    200: {
      description: "The entries",
      content: {
        "application/json": {
          schema: z.array(
            z.object({
              number: z.number().int(),
              at: z.string(),
              kind: z.string(),
              body: z.record(z.string(), z.unknown()),
            }).openapi("AuditEntry"),
          ),
        },
      },
    },
    ...PROBLEM_ANSWER,
  },
});

/** `/v1/audit`. */
export function auditRoutes({ service }: HttpDeps) {
  return router().openapi(audit, (c) => {
    const query = c.req.valid("query");
    const entries = service.audit(query);
    const last = entries.at(-1);
    if (last !== undefined && entries.length === query.limit && last.number > 1) {
      const next = new URLSearchParams({
        limit: String(query.limit),
        before: String(last.number),
        ...(query.kind === undefined ? {} : { kind: query.kind }),
      });
      c.header("link", `</v1/audit?${next}>; rel="next"`);
    }
    return c.json([...entries], 200);
  });
}
