import type { OpenAPIHono } from "@hono/zod-openapi";
import { HTTPException } from "hono/http-exception";
import { methodNotAllowed } from "hono/method-not-allowed";
import { secureHeaders } from "hono/secure-headers";
import { GatewayError } from "../core/errors.ts";
import { tokenRefused } from "./bearer.ts";
import { jsonBody } from "./json_body.ts";
import { answerProblem, publicError } from "./problem.ts";
import { type HttpDeps, router } from "./router.ts";
import { eventRoutes } from "./routes/events.ts";
import { guestRoutes } from "./routes/guests.ts";
import { migrationRoutes } from "./routes/migrations.ts";
import { peerRoutes } from "./routes/peers.ts";
import { redirectRoutes } from "./routes/redirects.ts";
import { systemRoutes } from "./routes/system.ts";

export type { HttpDeps } from "./router.ts";

/** Far above any request: the longest is a launch template. */
export const REQUEST_BYTES_MAX = 1024 * 1024;

/** The one path that is answered without a token: a supervisor's probe has none. */
const OPEN_PATH = "/healthz";

/** The gateway's HTTP API (contract, HTTP); every error is a problem document. */
export function createApp(deps: HttpDeps): OpenAPIHono {
  const app = router();
  app.use(secureHeaders({
    contentSecurityPolicy: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    referrerPolicy: "no-referrer",
  }));
  app.use(async (c, next) => {
    await next();
    c.header("cache-control", "no-store");
  });
  app.use(async (c, next) => {
    const header = c.req.header("authorization");
    if (c.req.path !== OPEN_PATH && !deps.authorized(header)) {
      return answerProblem(c, tokenRefused(header), { "www-authenticate": "Bearer" });
    }
    await next();
  });
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
  app.route("/", guestRoutes(deps));
  app.route("/", eventRoutes(deps));
  app.route("/", migrationRoutes(deps));
  app.route("/", peerRoutes(deps));
  app.route("/", redirectRoutes(deps));
  app.route("/", systemRoutes(deps));
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: {
      title: "Causeway gateway",
      version: "1",
      description: "Moves running machines between two sites. Errors are RFC 9457 problems.",
    },
    security: [{ token: [] }],
  });

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

/** The framework throws these for bodies that are not JSON. */
function malformed(thrown: HTTPException): GatewayError {
  return new GatewayError("request_invalid", `Cannot read the body: ${thrown.message}`, {
    hint: "Send one JSON object",
    cause: thrown,
  });
}
