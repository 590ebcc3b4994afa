import type { Role } from "../../security/roles.ts";

/**
 * The role that each route needs, `METHOD path` as the API's description writes it. Null: nobody has
 * to say who they are. `createApp` refuses to start with a route that is not here.
 */
export const ROUTE_ROLES: Readonly<Record<string, Role | null>> = {
  // The dashboard without anything to show: it asks for a token before it asks for more.
  "GET /": null,
  "GET /dashboard/{file}": null,
  // A supervisor's probe has no token; details are shown only with one.
  "GET /healthz": null,
  "GET /metrics": "read",
  "GET /openapi.json": "read",

  "GET /v1/guests": "read",
  "GET /v1/guests/{id}": "read",
  "GET /v1/migrations": "read",
  "GET /v1/migrations/{id}": "read",
  "GET /v1/migrations/{id}/events": "read",
  "GET /v1/redirects/events": "read",
  "GET /v1/peers": "read",
  "GET /v1/profiles": "read",
  "GET /v1/redirects": "read",
  "GET /v1/guests/{id}/redirect-commands": "admin",
  // Only forecasts.
  "POST /v1/plan": "read",

  "POST /v1/guests/{id}/verify": "operate",
  "POST /v1/redirects/{id}/answer": "operate",
  "POST /v1/migrations": "operate",
  "PATCH /v1/migrations/{id}": "operate",
  "POST /v1/migrations/{id}/answer": "operate",
  "POST /v1/migrations/{id}/cancel": "operate",
  "POST /v1/migrations/{id}/hold": "operate",
  "POST /v1/migrations/{id}/rollback": "operate",
  "POST /v1/migrations/{id}/switchover": "operate",
  "PATCH /v1/peers/{name}": "operate",

  // Programs that run as the gateway's user, and machines that are ended.
  "PUT /v1/guests/{id}": "admin",
  "DELETE /v1/guests/{id}": "admin",
  // A wrong word here runs a machine twice, or deletes the last copy of a disk.
  "POST /v1/migrations/{id}/adjudicate": "admin",
  "DELETE /v1/migrations/{id}/leftovers": "admin",
  "GET /v1/audit": "admin",
  "GET /v1/tokens": "admin",
  "POST /v1/tokens": "admin",
  "DELETE /v1/tokens/{id}": "admin",
};

const ROUTES = Object.entries(ROUTE_ROLES).map(([route, role]) => {
  const [method, path] = route.split(" ");
  const pattern = new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`);
  return { method, pattern, role };
});

/** The role that a request needs; undefined where no route fits, so that it will not be found. */
export function neededRole(method: string, path: string): Role | null | undefined {
  const asked = method === "HEAD" ? "GET" : method;
  return ROUTES.find((route) => route.method === asked && route.pattern.test(path))?.role;
}

/** The routes of `registered` (`METHOD path`, parameters in either form) that have no role. */
export function routesWithoutRole(registered: readonly string[]): string[] {
  return registered.map((route) => route.replaceAll(/:(\w+)/g, "{$1}"))
    .filter((route) => !(route in ROUTE_ROLES));
}
