import { createRoute, z } from "@hono/zod-openapi";
import { type HttpDeps, PROBLEM_ANSWER, router } from "../router.ts";
import { guestPath } from "../schemas/path.ts";
import { redirectCommands, redirectView } from "../schemas/redirect.ts";

const tags = ["redirects"];

const list = createRoute({
  method: "get",
  path: "/v1/redirects",
  tags,
  summary: "Addresses of machines, where they are, and what makes them follow",
  description: "Machines that run here with nothing redirected first, then redirects, the newest " +
    "first, with their history. `failed` stands for any stage whose rules are not as they should " +
    "be: `problem` says why, and it is tried again.",
  responses: {
    200: {
      description: "The redirects",
      content: { "application/json": { schema: z.array(redirectView) } },
    },
    ...PROBLEM_ANSWER,
  },
});

const commands = createRoute({
  method: "get",
  path: "/v1/guests/{id}/redirect-commands",
  tags,
  summary: "A dry run: what a move of this machine would set and remove here",
  description:
    "From the old site's side and from the new one's, by stage and means. Nothing is run.",
  request: { params: guestPath },
  responses: {
    200: {
      description: "Commands, in order",
      content: { "application/json": { schema: z.array(redirectCommands) } },
    },
    ...PROBLEM_ANSWER,
  },
});

/** `/v1/redirects` and its dry run. */
export function redirectRoutes({ service }: HttpDeps) {
  return router()
    .openapi(list, async (c) => c.json(await service.redirects(), 200))
    .openapi(commands, (c) => c.json(service.redirectCommands(c.req.valid("param").id), 200));
}
