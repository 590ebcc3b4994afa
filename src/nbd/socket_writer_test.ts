import assert from "node:assert/strict";
import { SocketWriter } from "./socket_writer.ts";

Deno.test("what is sent leaves in order, also behind a send of nothing", async () => {
  const written: number[] = [];
  const conn = {
    write(bytes: Uint8Array) {
      written.push(...bytes);
      return Promise.resolve(bytes.length);
    },
  } as unknown as Deno.Conn;
  const writer = new SocketWriter(conn, () => assert.fail("the socket works"));
  await writer.send();
  await writer.send(Uint8Array.of(1), Uint8Array.of(2));
  await writer.send();
  await writer.send(Uint8Array.of(3));
  assert.deepEqual(written, [1, 2, 3]);
});
