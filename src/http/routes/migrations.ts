import { createRoute, z } from "@hono/zod-openapi";
import { type HttpDeps, PROBLEM_ANSWER, router } from "../router.ts";
import {
  adjudication,
  deletedLeftovers,
  migrationChange,
  migrationReport,
  migrationRequest,
  questionAnswer,
} from "../schemas/migration.ts";
import { migrationPath } from "../schemas/path.ts";

const tags = ["migrations"];
const reportAnswer = (description: string) => ({
  description,
  content: { "application/json": { schema: migrationReport } },
});
const jsonBody = <T extends z.ZodType>(schema: T) => ({
  required: true,
  content: { "application/json": { schema } },
});

const list = createRoute({
  method: "get",
  path: "/v1/migrations",
  tags,
  summary: "Every migration of this site, oldest first",
  responses: {
    200: {
      description: "Their reports",
      content: { "application/json": { schema: z.array(migrationReport) } },
    },
    ...PROBLEM_ANSWER,
  },
});

const start = createRoute({
  method: "post",
  path: "/v1/migrations",
  tags,
  summary: "Check both machines and start a move",
  request: { body: jsonBody(migrationRequest) },
  responses: { 201: reportAnswer("Started"), ...PROBLEM_ANSWER },
});

const get = createRoute({
  method: "get",
  path: "/v1/migrations/{id}",
  tags,
  summary: "One migration",
  request: { params: migrationPath },
  responses: { 200: reportAnswer("Its report"), ...PROBLEM_ANSWER },
});

const change = createRoute({
  method: "patch",
  path: "/v1/migrations/{id}",
  tags,
  summary: "Change what is wished of a move while it runs",
  description: "What is not named stays as it is. A rate, a budget and a share of the link take " +
    "effect within a second; each change is one of the report's decisions.",
  request: { params: migrationPath, body: jsonBody(migrationChange) },
  responses: { 200: reportAnswer("Changed"), ...PROBLEM_ANSWER },
});

const action = <const Name extends string>(name: Name, summary: string, description?: string) =>
  createRoute({
    method: "post",
    path: `/v1/migrations/{id}/${name}`,
    tags,
    summary,
    description,
    request: { params: migrationPath },
    responses: { 200: reportAnswer("Taken up; the report shows the outcome"), ...PROBLEM_ANSWER },
  });

const answer = createRoute({
  method: "post",
  path: "/v1/migrations/{id}/answer",
  tags,
  summary: "Answer what a move asks",
  description: "409 no_question where it asks nothing.",
  request: { params: migrationPath, body: jsonBody(questionAnswer) },
  responses: { 200: reportAnswer("Taken up"), ...PROBLEM_ANSWER },
});

const adjudicate = createRoute({
  method: "post",
  path: "/v1/migrations/{id}/adjudicate",
  tags,
  summary: "Decide which site may run a machine that is in doubt",
  description:
    "At either gateway of the move. Before the machine is started here the site's fence " +
    "command is called, where it has one: 409 fence_failed means that nothing was decided.",
  request: { params: migrationPath, body: jsonBody(adjudication) },
  responses: { 200: reportAnswer("Recorded"), ...PROBLEM_ANSWER },
});

const leftovers = createRoute({
  method: "delete",
  path: "/v1/migrations/{id}/leftovers",
  tags,
  summary: "Delete what an ended move left at this site: source disks, partial copies",
  request: { params: migrationPath },
  responses: {
    200: {
      description: "The paths that were deleted",
      content: { "application/json": { schema: deletedLeftovers } },
    },
    ...PROBLEM_ANSWER,
  },
});

/** `/v1/migrations` but for its event streams. */
export function migrationRoutes({ service }: HttpDeps) {
  return router()
    .openapi(list, (c) => c.json(service.migrations(), 200))
    .openapi(start, async (c) => {
      const { guest, to, ...wishes } = c.req.valid("json");
      const options = { ...wishes, rollbackOf: null };
      return c.json(await service.startMigration({ guest, to, options }), 201);
    })
    .openapi(get, (c) => c.json(service.migration(c.req.valid("param").id), 200))
    .openapi(change, async (c) => {
      const report = await service.change(c.req.valid("param").id, c.req.valid("json"));
      return c.json(report, 200);
    })
    .openapi(
      action("cancel", "Give the move up; the machine runs on at the source"),
      async (c) => c.json(await service.cancel(c.req.valid("param").id), 200),
    )
    .openapi(
      action("switchover", "Switch a held move over now"),
      async (c) => c.json(await service.switchover(c.req.valid("param").id), 200),
    )
    .openapi(
      action("hold", "Stay in sync and do not switch over until told to"),
      async (c) => c.json(await service.hold(c.req.valid("param").id), 200),
    )
    .openapi(
      action(
        "rollback",
        "Bring the machine back to the source",
        "Before the hand-over the same as cancel. After a completed move either gateway starts a " +
          "move back of what the machine is now; the report's rollback names it. 409 " +
          "rollback_not_possible where there is no way back.",
      ),
      async (c) => c.json(await service.rollback(c.req.valid("param").id), 200),
    )
    .openapi(answer, async (c) => {
      const report = await service.answer(c.req.valid("param").id, c.req.valid("json"));
      return c.json(report, 200);
    })
    .openapi(adjudicate, async (c) => {
      const report = await service.adjudicate(c.req.valid("param").id, c.req.valid("json"));
      return c.json(report, 200);
    })
    .openapi(
      leftovers,
      async (c) => c.json(await service.deleteLeftovers(c.req.valid("param").id), 200),
    );
}
