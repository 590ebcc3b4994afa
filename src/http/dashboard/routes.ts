import { GatewayError } from "../../core/errors.ts";
import { router } from "../router.ts";
import { type DashboardFiles, loadDashboard } from "./assets.ts";

/**
 * `GET /`, the dashboard, and `GET /dashboard/{file}`, what it is made of. Both are open: they say
 * nothing about the site. What the page shows it asks the API for, with the token that it is given.
 */
export function dashboardRoutes() {
  // Read at the first request: most gateways never show it.
  let loaded: DashboardFiles | null = null;
  const dashboard = () => loaded ??= loadDashboard();
  const app = router();
  app.get("/", (c) => {
    const { page, contentSecurityPolicy } = dashboard();
    return c.body(page.text, 200, {
      "content-type": page.contentType,
      "content-security-policy": contentSecurityPolicy,
    });
  });
  app.get("/dashboard/:file", (c) => {
    const found = dashboard().files.get(c.req.param("file"));
    if (found !== undefined) return c.body(found.text, 200, { "content-type": found.contentType });
    throw new GatewayError("route_unknown", `Cannot ${c.req.method} ${c.req.path}: no such path`, {
      hint: "The dashboard is at GET /",
    });
  });
  return app;
}
