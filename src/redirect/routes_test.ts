import assert from "node:assert/strict";
import { routePlan, type RouteSubject, tableOf } from "./routes.ts";
import { STAGES } from "./state.ts";

const subject: RouteSubject = {
  side: "old",
  addresses: [
    { ip: "10.1.0.5", gateway: "10.1.0.1" },
    { ip: "2001:DB8::5", gateway: "fe80::1" },
  ],
  lan: "br0",
  carrier: { device: "wan0", via: { ipv4: "192.0.2.2", ipv6: "2001:db8:f::2" } },
  table: 31_000,
  isHome: false,
};
const lines = (commands: readonly (readonly string[])[]) => commands.map((each) => each.join(" "));

Deno.test("at the old site the address leads to the carrier and is answered for, from the switch on", () => {
  assert.deepEqual(lines(routePlan(subject, "redirecting").set), [
    "-4 route replace 10.1.0.5/32 via 192.0.2.2 dev wan0 metric 50 proto 188",
    "-4 neigh replace proxy 10.1.0.5 dev br0",
    "-6 route replace 2001:db8::5/128 via 2001:db8:f::2 dev wan0 metric 50 proto 188",
    "-6 neigh replace proxy 2001:db8::5 dev br0",
  ]);
});

Deno.test("at the new site packets find the machine, and its answers the way that they came", () => {
  const tunnelled = { ...subject, side: "new" as const, carrier: { device: "cw1", via: null } };
  assert.deepEqual(lines(routePlan(tunnelled, "draining").set), [
    "-4 route replace 10.1.0.5/32 dev br0 metric 100 proto 188",
    "-4 rule add from 10.1.0.5/32 lookup 31000 priority 31000",
    "-6 route replace 2001:db8::5/128 dev br0 metric 100 proto 188",
    "-6 rule add from 2001:db8::5/128 lookup 31000 priority 31000",
    "-4 route replace 0.0.0.0/0 dev cw1 table 31000 proto 188",
    "-6 route replace ::/0 dev cw1 table 31000 proto 188",
    "-4 neigh replace proxy 10.1.0.1 dev br0",
    "-6 neigh replace proxy fe80::1 dev br0",
  ]);
  const home = routePlan({ ...tunnelled, isHome: true }, "draining");
  assert.deepEqual(home, { set: [], remove: [] });
});

Deno.test("each stage removes everything that another one sets", () => {
  for (const side of ["old", "new"] as const) {
    const set = lines(routePlan({ ...subject, side }, "redirecting").set);
    for (const stage of STAGES) {
      const plan = routePlan({ ...subject, side }, stage);
      const undone = lines(plan.remove)
        .map((line) => line.replace("rule del", "rule add").replace(" del ", " replace "));
      assert.deepEqual(undone.toSorted(), set.toSorted());
      if (stage !== "redirecting" && stage !== "draining") assert.deepEqual(plan.set, []);
    }
  }
});

Deno.test("a table is the same for a move after a restart, and within its range", () => {
  for (let n = 0; n < 100; n++) {
    const id = crypto.randomUUID();
    assert.equal(tableOf(id), tableOf(id));
    assert.ok(tableOf(id) >= 30_000 && tableOf(id) < 60_000);
  }
});
