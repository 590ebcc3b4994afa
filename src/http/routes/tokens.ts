import { createRoute, z } from "@hono/zod-openapi";
import { type HttpDeps, PROBLEM_ANSWER, router } from "../router.ts";
import { createdToken, tokenPath, tokenRequest, tokenView } from "../schemas/token.ts";

const tags = ["tokens"];

const list = createRoute({
  method: "get",
  path: "/v1/tokens",
  tags,
  summary: "Every token of the API, used up ones too; never what they are",
  responses: {
    200: {
      description: "Oldest first",
      content: { "application/json": { schema: z.array(tokenView) } },
    },
    ...PROBLEM_ANSWER,
  },
});

const create = createRoute({
  method: "post",
  path: "/v1/tokens",
  tags,
  summary: "Make a token; its text is in this answer and nowhere else",
  request: { body: { required: true, content: { "application/json": { schema: tokenRequest } } } },
  responses: {
    201: { description: "The token", content: { "application/json": { schema: createdToken } } },
    ...PROBLEM_ANSWER,
  },
});

const revoke = createRoute({
  method: "delete",
  path: "/v1/tokens/{id}",
  tags,
  summary: "Revoke a token: it opens nothing from now on, and streams that it opened end",
  request: { params: tokenPath },
  responses: {
    200: {
      description: "What is left of it",
      content: { "application/json": { schema: tokenView } },
    },
    ...PROBLEM_ANSWER,
  },
});

/** `/v1/tokens`. */
export function tokenRoutes({ service }: HttpDeps) {
  return router()
    .openapi(list, (c) => c.json(service.tokens(), 200))
    .openapi(
      create,
      (c) => c.json(service.createToken(c.req.valid("json"), c.var.caller.name), 201),
    )
    .openapi(revoke, (c) => {
      const { id } = c.req.valid("param");
      return c.json(service.revokeToken(id, c.var.caller.name), 200);
    });
}
