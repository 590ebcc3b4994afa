import { createRoute, z } from "@hono/zod-openapi";
import { redirectStream } from "../redirect_stream.ts";
import { type HttpDeps, PROBLEM_ANSWER, router } from "../router.ts";
import { guestPath, migrationPath } from "../schemas/path.ts";
import { redirectAnswer, redirectCommands, redirectView } from "../schemas/redirect.ts";

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

const events = createRoute({
  method: "get",
  path: "/v1/redirects/events",
  tags,
  summary: "Server-sent events: `redirect` with each redirect, and again whenever it changes",
  description:
    "The data is a Redirect as `GET /v1/redirects` shows it. Every redirect that there " +
    "is comes first; of changes that a slow client has not read, only the newest of each redirect.",
  responses: {
    200: {
      description: "An event stream",
      content: { "text/event-stream": { schema: z.string() } },
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

const answer = createRoute({
  method: "post",
  path: "/v1/redirects/{id}/answer",
  tags,
  summary: "Answer what the redirect of a move asks: keep the machine there, or bring it back",
  description: "Asked where probes do not reach the machine after its move. `keep: false` is a " +
    "rollback of the move.",
  request: {
    params: migrationPath,
    body: { required: true, content: { "application/json": { schema: redirectAnswer } } },
  },
  responses: {
    204: { description: "Answered" },
    ...PROBLEM_ANSWER,
  },
});

/** `/v1/redirects`, its questions and its dry run. */
export function redirectRoutes({ service, clock, closing }: HttpDeps) {
  return router()
    .openapi(answer, async (c) => {
      const { keep, by } = c.req.valid("json");
      await service.answerRedirect(c.req.valid("param").id, { keep, by: by ?? "operator" });
      return c.body(null, 204);
    })
    .openapi(events, (c) => {
      const { ended } = c.var.caller;
      const over = closing === undefined ? ended : AbortSignal.any([closing, ended]);
      return c.body(redirectStream(service, clock, over), 200, {
        "content-type": "text/event-stream; charset=utf-8",
        // Reverse proxies that buffer would hold events back.
        "x-accel-buffering": "no",
      });
    })
    .openapi(list, async (c) => c.json(await service.redirects(), 200))
    .openapi(commands, (c) => c.json(service.redirectCommands(c.req.valid("param").id), 200));
}
