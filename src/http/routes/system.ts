import { createRoute, z } from "@hono/zod-openapi";
import { renderMetrics } from "../metrics.ts";
import { ROLES } from "../../security/roles.ts";
import { clientAddress } from "../auth/authenticate.ts";
import { type HttpDeps, PROBLEM_ANSWER, router } from "../router.ts";

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
            role: z.enum(ROLES).optional().openapi({ description: "Of the token" }),
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
      const header = c.req.header("authorization");
      const known = header !== undefined && deps.authorized(header, clientAddress(c.env)).caller;
      if (!known) return c.json({ status }, 200);
      return c.json({ status, site: service.site, role: known.role, checks }, 200);
    })
    .openapi(metrics, (c) => {
      const text = renderMetrics({
        migrations: service.migrations(),
        peers: service.peers(),
        process: deps.processFigures(),
      });
      return c.text(text, 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
    })
    .openapi(profiles, async (c) => c.json([...await deps.profiles()], 200));
}
