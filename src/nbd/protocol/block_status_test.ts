import assert from "node:assert/strict";
import { decodeStatusPayload, encodeStatusPayload } from "./block_status.ts";

const status = (offsetBytes: number, lengthBytes: number, flags: number) => ({
  offsetBytes,
  lengthBytes,
  flags,
});

Deno.test("statuses are placed one after the other from the request's offset", () => {
  const statuses = [status(4096, 512, 0), status(4608, 1024, 3)];
  const payload = encodeStatusPayload(7, statuses);
  assert.deepEqual(decodeStatusPayload(payload, 4096, 8192), { contextId: 7, statuses });
});

Deno.test("a last status beyond the request is clipped, a further one refused", () => {
  const payload = encodeStatusPayload(1, [status(0, 512, 0), status(512, 0xffff_ffff, 1)]);
  assert.deepEqual(decodeStatusPayload(payload, 0, 1024).statuses[1], status(512, 512, 1));
  assert.throws(() => decodeStatusPayload(payload, 0, 512), { code: "nbd_protocol" });
});

Deno.test("a status that describes nothing is refused, it would never end", () => {
  for (
    const payload of [
      encodeStatusPayload(1, []),
      encodeStatusPayload(1, [status(0, 0, 0)]),
      encodeStatusPayload(1, [status(0, 512, 0)]).subarray(0, 11),
      new Uint8Array(13),
    ]
  ) assert.throws(() => decodeStatusPayload(payload, 0, 4096), { code: "nbd_protocol" });
});
