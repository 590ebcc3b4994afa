import { createRoute, z } from "@hono/zod-openapi";
import { reportStream } from "../report_stream.ts";
import { type HttpDeps, PROBLEM_ANSWER, router } from "../router.ts";
import { migrationPath } from "../schemas/path.ts";

const events = createRoute({
  method: "get",
  path: "/v1/migrations/{id}/events",
  tags: ["migrations"],
  summary: "Server-sent events: `report` with each new report, `end` when the migration has ended",
  request: { params: migrationPath },
  responses: {
    200: {
      description: "An event stream",
      content: { "text/event-stream": { schema: z.string() } },
    },
    ...PROBLEM_ANSWER,
  },
});

/** `/v1/migrations/{id}/events`. */
export function eventRoutes({ service, clock, closing }: HttpDeps) {
  return router().openapi(events, (c) => {
    const { ended } = c.var.caller;
    const over = closing === undefined ? ended : AbortSignal.any([closing, ended]);
    const stream = reportStream(service, c.req.valid("param").id, clock, over);
    return c.body(stream, 200, {
      "content-type": "text/event-stream; charset=utf-8",
      // Reverse proxies that buffer would hold events back.
      "x-accel-buffering": "no",
    });
  });
}
