import assert from "node:assert/strict";
import {
  addBridge,
  addTap,
  connect,
  createNamespace,
  listNamespaces,
} from "../../src/testing/netns.ts";
import { requires } from "../../src/testing/requirements.ts";

const needs = await requires("namespaces");

Deno.test(
  "two namespaces reach each other over a cable and are gone afterwards",
  needs,
  async () => {
    const names: string[] = [];
    {
      await using left = await createNamespace("left");
      await using right = await createNamespace("right");
      names.push(left.name, right.name);
      await connect(
        {
          namespace: left,
          name: "eth0",
          addresses: ["10.78.0.1/24", "fd78::1/64"],
          mtuBytes: 1400,
        },
        { namespace: right, name: "eth0", addresses: ["10.78.0.2/24", "fd78::2/64"] },
      );
      for (const address of ["10.78.0.2", "fd78::2"]) {
        assert.match(await left.run("ip", "route", "get", address), /dev eth0/);
      }
      assert.match(await left.ip("link", "show", "eth0"), /mtu 1400 .*state UP/);
      assert.ok(names.every((name) => name.startsWith("cw-")));
      assert.notEqual(left.name, right.name);
    }
    const remaining = await listNamespaces();
    assert.deepEqual(names.filter((name) => remaining.includes(name)), []);
  },
);

Deno.test("a TAP device becomes a port of a bridge", needs, async () => {
  await using site = await createNamespace("site");
  await addBridge({ namespace: site, name: "br0", addresses: ["10.78.1.1/24"] });
  await addTap({ namespace: site, name: "tap0" }, "br0");
  assert.match(await site.ip("link", "show", "tap0"), /master br0/);
});

Deno.test("a failing command is reported with its words and what it printed", needs, async () => {
  await using namespace = await createNamespace("fail");
  await assert.rejects(
    namespace.ip("link", "set", "absent0", "up"),
    /"ip -n cw-\S+ link set absent0 up" ended with 1: Cannot find device "absent0"/,
  );
});
