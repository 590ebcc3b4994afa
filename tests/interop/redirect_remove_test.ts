import assert from "node:assert/strict";
import { HostCommands } from "../../src/redirect/host_commands.ts";
import { addBridge, createNamespace } from "../../src/testing/netns.ts";
import { requires } from "../../src/testing/requirements.ts";

Deno.test({
  name: "what is there is removed, also after something that is not there",
  ...await requires("namespaces"),
  async fn() {
    await using namespace = await createNamespace("site");
    await addBridge({ namespace, name: "br0", addresses: ["10.1.0.1/24"] });
    const proxy = ["proxy", "10.1.0.7", "dev", "br0"];
    await namespace.ip("neigh", "add", ...proxy);
    await new HostCommands(namespace.argv()).ipRemove([
      ["-4", "rule", "del", "from", "10.1.0.5/32", "lookup", "30000"],
      ["-4", "neigh", "del", "10.1.0.5", "dev", "br0"],
      ["-4", "neigh", "del", ...proxy],
    ]);
    assert.equal(await namespace.ip("neigh", "show", "proxy"), "");
  },
});
