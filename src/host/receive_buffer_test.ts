import assert from "node:assert/strict";
import { growReceiveBuffer, RECEIVE_BUFFER_BYTES } from "./receive_buffer.ts";

const mayCall = (await Deno.permissions.query({ name: "ffi" })).state === "granted" &&
  Deno.build.os === "linux";

Deno.test({
  name: "a UDP socket gets the room that it asks for, or what the system allows",
  ignore: !mayCall,
  async fn() {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    try {
      const { port } = socket.addr as Deno.NetAddr;
      const allowed = Number(await Deno.readTextFile("/proc/sys/net/core/rmem_max").catch(() => 0));
      const has = growReceiveBuffer(port);
      assert.ok(has !== null && has >= Math.min(RECEIVE_BUFFER_BYTES, allowed), `${has}`);
      assert.equal(growReceiveBuffer(port), has);
    } finally {
      socket.close();
    }
  },
});

Deno.test("a port that no socket of this process has is left alone", () => {
  assert.equal(growReceiveBuffer(1), null);
});

Deno.test({
  name: "a TCP socket of the same port is not taken for it",
  ignore: !mayCall,
  fn() {
    using tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    assert.equal(growReceiveBuffer((tcp.addr as Deno.NetAddr).port), null);
  },
});
