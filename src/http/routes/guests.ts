import { createRoute, z } from "@hono/zod-openapi";
import type { GuestView } from "../../gateway/service.ts";
import { roleAllows } from "../../security/roles.ts";
import type { KnownToken } from "../../security/token_registry.ts";
import { type HttpDeps, PROBLEM_ANSWER, router } from "../router.ts";
import { guestDefinition, guestView, verification } from "../schemas/guest.ts";
import { flag, guestPath } from "../schemas/path.ts";

const tags = ["guests"];
const guestAnswer = (description: string) => ({
  description,
  content: { "application/json": { schema: guestView } },
});

const put = createRoute({
  method: "put",
  path: "/v1/guests/{id}",
  tags,
  summary: "Attach or launch a machine under this id",
  request: {
    params: guestPath,
    body: { required: true, content: { "application/json": { schema: guestDefinition } } },
  },
  responses: {
    200: guestAnswer("It was registered like this before"),
    201: guestAnswer("Registered"),
    ...PROBLEM_ANSWER,
  },
});

const get = createRoute({
  method: "get",
  path: "/v1/guests/{id}",
  tags,
  summary: "One machine",
  request: { params: guestPath },
  responses: { 200: guestAnswer("The machine"), ...PROBLEM_ANSWER },
});

const list = createRoute({
  method: "get",
  path: "/v1/guests",
  tags,
  summary: "Every machine that is registered at this site",
  responses: {
    200: {
      description: "By id",
      content: { "application/json": { schema: z.array(guestView) } },
    },
    ...PROBLEM_ANSWER,
  },
});

const remove = createRoute({
  method: "delete",
  path: "/v1/guests/{id}",
  tags,
  summary: "Detach a machine, which goes on; with ?end=true end it",
  request: { params: guestPath, query: z.object({ end: flag.optional() }) },
  responses: { 204: { description: "Gone from the registry" }, ...PROBLEM_ANSWER },
});

const verify = createRoute({
  method: "post",
  path: "/v1/guests/{id}/verify",
  tags,
  summary: "Ask a reference machine to check its own memory and disks",
  request: { params: guestPath },
  responses: {
    200: {
      description: "What it found",
      content: { "application/json": { schema: verification } },
    },
    ...PROBLEM_ANSWER,
  },
});

/**
 * Arguments of a machine may hold secrets (`-object secret`, passwords of consoles): they are for
 * those who may give them. Others see which program it is.
 */
function shownTo({ role }: KnownToken, view: GuestView): GuestView {
  const { definition } = view;
  if (roleAllows(role, "admin") || !("launch" in definition)) return view;
  const launch = { ...definition.launch, argv: definition.launch.argv.slice(0, 1) };
  return { ...view, definition: { ...definition, launch } };
}

/** `/v1/guests`. */
export function guestRoutes({ service }: HttpDeps) {
  return router()
    .openapi(list, async (c) => {
      const views = await service.guests();
      return c.json(views.map((view) => shownTo(c.var.caller, view)), 200);
    })
    .openapi(get, async (c) => {
      const view = await service.guest(c.req.valid("param").id);
      return c.json(shownTo(c.var.caller, view), 200);
    })
    .openapi(put, async (c) => {
      const { created, guest } = await service.putGuest(
        c.req.valid("param").id,
        c.req.valid("json"),
      );
      return created ? c.json(guest, 201) : c.json(guest, 200);
    })
    .openapi(remove, async (c) => {
      await service.deleteGuest(c.req.valid("param").id, c.req.valid("query").end ?? false);
      return c.body(null, 204);
    })
    .openapi(verify, async (c) => {
      const found = await service.verifyGuest(c.req.valid("param").id);
      return c.json(found as z.infer<typeof verification>, 200);
    });
}
