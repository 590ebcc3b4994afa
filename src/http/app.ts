import type { OpenAPIHono } from "@hono/zod-openapi";
import { HTTPException } from "hono/http-exception";
import { methodNotAllowed } from "hono/method-not-allowed";
import { invariant } from "../core/assert.ts";
import { GatewayError } from "../core/errors.ts";
import type { ApiEnv } from "./api_env.ts";
import { authenticate } from "./auth/authenticate.ts";
import { expectedHost } from "./auth/expected_host.ts";
import { ROUTE_ROLES, routesWithoutRole } from "./auth/route_roles.ts";
import { strictHeaders } from "./auth/strict_headers.ts";
import { dashboardRoutes } from "./dashboard/routes.ts";
import { jsonBody } from "./json_body.ts";
import { answerProblem, publicError } from "./problem.ts";
import { type HttpDeps, router } from "./router.ts";
import { auditRoutes } from "./routes/audit.ts";
import { eventRoutes } from "./routes/events.ts";
import { guestRoutes } from "./routes/guests.ts";
import { migrationRoutes } from "./routes/migrations.ts";
import { peerRoutes } from "./routes/peers.ts";
import { redirectRoutes } from "./routes/redirects.ts";
import { systemRoutes } from "./routes/system.ts";
import { tokenRoutes } from "./routes/tokens.ts";

export type { HttpDeps } from "./router.ts";

/** Far above any request: the longest is a launch template. */
export const REQUEST_BYTES_MAX = 1024 * 1024;

const LOOPBACK = { hostname: "127.0.0.1", names: [] };

/** The gateway's HTTP API (contract, HTTP); every error is a problem document. */
export function createApp(deps: HttpDeps): OpenAPIHono<ApiEnv> {
  const app = router();
  app.use(strictHeaders());
  app.use(expectedHost(deps.served ?? LOOPBACK));
  app.use(authenticate(deps));
  app.use(methodNotAllowed({
    app,
    onMethodNotAllowed: (c, methods) => {
      const error = new GatewayError(
        "method_not_allowed",
        `Cannot ${c.req.method} ${c.req.path}: the path exists, the method does not`,
        { hint: `Allowed here: ${methods.join(", ")}` },
      );
      return answerProblem(c, error, { allow: methods.join(", ") });
    },
  }));
  app.use(jsonBody(REQUEST_BYTES_MAX));

  app.openAPIRegistry.registerComponent("securitySchemes", "token", {
    type: "http",
    scheme: "bearer",
  });
  app.route("/", dashboardRoutes());
  app.route("/", guestRoutes(deps));
  app.route("/", eventRoutes(deps));
  app.route("/", migrationRoutes(deps));
  app.route("/", peerRoutes(deps));
  app.route("/", redirectRoutes(deps));
  app.route("/", systemRoutes(deps));
  app.route("/", auditRoutes(deps));
  app.route("/", tokenRoutes(deps));
  // Made once: it takes as long as a hundred other answers.
  let description: string | null = null;
  app.get("/openapi.json", (c) => {
    description ??= JSON.stringify(describe(app));
    return c.body(description, 200, { "content-type": "application/json" });
  });
  const registered = app.routes.filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method} ${path}`);
  const open = routesWithoutRole(registered);
  invariant(open.length === 0, `routes without a role: ${open.join(", ")}`);

  app.notFound((c) =>
    answerProblem(
      c,
      new GatewayError("route_unknown", `Cannot ${c.req.method} ${c.req.path}: no such path`, {
        hint: "GET /openapi.json lists every path",
      }),
    )
  );
  app.onError((thrown, c) => {
    if (thrown instanceof HTTPException) return answerProblem(c, malformed(thrown));
    // A client that hung up hears of nothing, and is no defect.
    if (c.req.raw.signal.aborted) return c.body(null, 408);
    const { error, defect } = publicError(thrown);
    if (defect) {
      deps.log("error", `${c.req.method} ${c.req.path}: ${thrown.stack ?? thrown.message}`);
    }
    return answerProblem(c, error);
  });
  return app;
}

/** The description of the API; each operation says which role it needs. */
function describe(app: OpenAPIHono<ApiEnv>) {
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Causeway gateway",
      version: "1",
      description: "Moves running machines between two sites. Errors are RFC 9457 problems. " +
        "`x-role` is the role that a token needs.",
    },
    security: [{ token: [] }],
  });
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(item)) {
      const role = ROUTE_ROLES[`${method.toUpperCase()} ${path}`];
      if (role) Object.assign(operation, { "x-role": role });
    }
  }
  return document;
}

/** The framework throws these for bodies that are not JSON. */
function malformed(thrown: HTTPException): GatewayError {
  return new GatewayError("request_invalid", `Cannot read the body: ${thrown.message}`, {
    hint: "Send one JSON object",
    cause: thrown,
  });
}
