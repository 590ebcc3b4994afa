import { createRoute, z } from "@hono/zod-openapi";
import { renderMetrics } from "../metrics.ts";
import { type HttpDeps, PROBLEM_ANSWER, router } from "../router.ts";

const AUDIT_ENTRIES_DEFAULT = 100;
const AUDIT_ENTRIES_MAX = 10_000;

const health = createRoute({
  method: "get",
  path: "/healthz",
  tags: ["gateway"],
  summary: "Whether the gateway serves; needs no token, shows details only with one",
  security: [],
  responses: {
    200: {
      description: "It serves",
      content: {
        "application/json": {
          schema: z.object({
            status: z.enum(["ok", "degraded"]),
            site: z.string().optional(),
            checks: z.record(z.string(), z.string()).optional(),
          }).openapi("Health"),
        },
      },
    },
    ...PROBLEM_ANSWER,
  },
});

const metrics = createRoute({
  method: "get",
  path: "/metrics",
  tags: ["gateway"],
  summary: "Figures in the Prometheus text format",
  responses: {
    200: { description: "The figures", content: { "text/plain": { schema: z.string() } } },
    ...PROBLEM_ANSWER,
  },
});

const audit = createRoute({
  method: "get",
  path: "/v1/audit",
  tags: ["gateway"],
  summary: "Who was refused, who decided what: the newest entries",
  request: {
    query: z.object({
      limit: z.coerce.number().int().min(1).max(AUDIT_ENTRIES_MAX).default(AUDIT_ENTRIES_DEFAULT),
    }),
  },
  responses: {
    200: {
      description: "The entries",
      content: {
        "application/json": {
          schema: z.array(z.object({
            at: z.string(),
            kind: z.string(),
            body: z.record(z.string(), z.unknown()),
          })),
        },
      },
    },
    ...PROBLEM_ANSWER,
  },
});

const profiles = createRoute({
  method: "get",
  path: "/v1/profiles",
  tags: ["gateway"],
  summary: "The WAN profiles that the emulator knows by name",
  responses: {
    200: {
      description: "The profiles",
      content: { "application/json": { schema: z.array(z.unknown()) } },
    },
    ...PROBLEM_ANSWER,
  },
});

/** What concerns the gateway itself. */
export function systemRoutes(deps: HttpDeps) {
  const { service } = deps;
  return router()
    .openapi(health, (c) => {
      const { status, checks } = service.health();
      // Names of peers and guests are nobody's business who has no token.
      const known = deps.authorized(c.req.header("authorization"));
      return c.json(known ? { status, site: service.site, checks } : { status }, 200);
    })
    .openapi(metrics, (c) => {
      const text = renderMetrics({
        migrations: service.migrations(),
        peers: service.peers(),
        process: deps.processFigures(),
      });
      return c.text(text, 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
    })
    .openapi(audit, (c) => c.json(service.audit(c.req.valid("query").limit), 200))
    .openapi(profiles, async (c) => c.json([...await deps.profiles()], 200));
}
