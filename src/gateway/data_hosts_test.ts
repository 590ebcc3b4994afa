import assert from "node:assert/strict";
import { guestDefinition } from "../guest/definition.ts";
import { requireDataHost } from "./data_hosts.ts";

const at = (data?: string) =>
  guestDefinition.parse({ kind: "qemu", qmp: "tcp:192.0.2.5:4444", ...(data ? { data } : {}) });

Deno.test("requireDataHost() refuses a host that is not listed, by its name", () => {
  for (const allowed of [[], ["192.0.2.1"], ["192.0.2.70"]]) {
    assert.throws(
      () => requireDataHost(at("192.0.2.7"), allowed),
      (error: { code: string; message: string }) =>
        error.code === "data_host_not_allowed" && error.message.includes("192.0.2.7:"),
    );
  }
});

Deno.test("requireDataHost() lets a listed host pass, and machines without one", () => {
  requireDataHost(at("192.0.2.7"), ["192.0.2.1", "192.0.2.7"]);
  requireDataHost(at(), []);
  requireDataHost(guestDefinition.parse({ kind: "reference", memoryMiB: 1 }), []);
});
