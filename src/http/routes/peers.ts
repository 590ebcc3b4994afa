import { createRoute, z } from "@hono/zod-openapi";
import { type HttpDeps, PROBLEM_ANSWER, router } from "../router.ts";
import { peerPath } from "../schemas/path.ts";
import { peerChange, peerView } from "../schemas/peer.ts";
import { plan, planRequest } from "../schemas/plan.ts";

const list = createRoute({
  method: "get",
  path: "/v1/peers",
  tags: ["peers"],
  summary: "The trusted peers and what is known of the way to them",
  responses: {
    200: {
      description: "The peers",
      content: { "application/json": { schema: z.array(peerView) } },
    },
    ...PROBLEM_ANSWER,
  },
});

const change = createRoute({
  method: "patch",
  path: "/v1/peers/{name}",
  tags: ["peers"],
  summary: "Cap everything that goes to a peer; null takes the cap away",
  request: {
    params: peerPath,
    body: { required: true, content: { "application/json": { schema: peerChange } } },
  },
  responses: {
    200: { description: "The peer", content: { "application/json": { schema: peerView } } },
    ...PROBLEM_ANSWER,
  },
});

const makePlan = createRoute({
  method: "post",
  path: "/v1/plan",
  tags: ["migrations"],
  summary: "Watch the machine, probe the path, ask the peer, and forecast a move",
  description: "Nothing moves. The answer takes as long as the machine is watched; who hangs up " +
    "before leaves nothing behind.",
  request: { body: { required: true, content: { "application/json": { schema: planRequest } } } },
  responses: {
    200: { description: "The forecast", content: { "application/json": { schema: plan } } },
    ...PROBLEM_ANSWER,
  },
});

/** `/v1/peers` and `/v1/plan`: the ways out of this site. */
export function peerRoutes({ service }: HttpDeps) {
  return router()
    .openapi(list, (c) => c.json(service.peers(), 200))
    .openapi(change, async (c) => {
      const { name } = c.req.valid("param");
      await service.setLinkRate(name, c.req.valid("json").rate);
      return c.json(service.peers().find((peer) => peer.name === name)!, 200);
    })
    .openapi(
      makePlan,
      async (c) => c.json(await service.plan(c.req.valid("json"), c.req.raw.signal), 200),
    );
}
