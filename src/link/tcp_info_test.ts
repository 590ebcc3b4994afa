import assert from "node:assert/strict";
import { readTcpInfo, SentAgain, TCP_INFO_BYTES } from "./tcp_info.ts";

Deno.test("TCP's counts are read where the kernel has them, and are unknown of an older one", () => {
  const info = new Uint8Array(TCP_INFO_BYTES);
  const isLittle = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  const view = new DataView(info.buffer);
  view.setBigUint64(200, 5_000_000_000n, isLittle);
  view.setBigUint64(208, 7_000n, isLittle);
  assert.deepEqual(readTcpInfo(info), { sentBytes: 5_000_000_000, sentAgainBytes: 7_000 });
  assert.equal(readTcpInfo(info.subarray(0, 192)), null);
});

Deno.test("the share that is sent again is unknown at first, and follows what comes", () => {
  const again = new SentAgain();
  again.take({ sentBytes: 1_000_000, sentAgainBytes: 500_000 });
  assert.equal(again.ratio, null, "what was before it was watched does not count");
  again.take({ sentBytes: 1_010_000, sentAgainBytes: 510_000 });
  assert.equal(again.ratio, null, "too little says nothing");
  again.take({ sentBytes: 2_000_000, sentAgainBytes: 520_000 });
  assert.equal(again.ratio, 0.02);
  for (let i = 3; i < 23; i++) again.take({ sentBytes: i * 1_000_000, sentAgainBytes: 520_000 });
  assert.ok(again.ratio! < 0.001, `${again.ratio}`);
});
