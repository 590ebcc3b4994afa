import assert from "node:assert/strict";
import fc from "fast-check";
import { type NbdBackend, NbdBackendError } from "./backend.ts";
import { connectNbd, NbdClient } from "./client.ts";
import type { Connection } from "./connection.ts";
import { MemoryBackend } from "./memory_backend.ts";
import { OPTION, OPTION_REPLY, REQUEST_BYTES } from "./protocol/constants.ts";
import {
  DEFAULT_BLOCK_SIZES,
  encodeExportInfo,
  encodeGreeting,
  encodeOptionReply,
} from "./protocol/handshake.ts";
import { encodeSimpleReply } from "./protocol/transmission.ts";
import { serveNbd } from "./server.ts";
import { patterned, withDirectory, withServer } from "./test_support.ts";

const SIZE = 1024 * 1024 + 512;

Deno.test("overlapping reads, writes and zeroes leave what a byte array would hold", async () => {
  const range = fc.tuple(fc.nat(SIZE), fc.nat(200_000));
  const step = fc.record({ kind: fc.constantFrom("read", "write", "zero", "noHole"), range });
  const steps = fc.array(step, { minLength: 1, maxLength: 40 });
  const runs = fc.asyncProperty(steps, fc.boolean(), async (steps, sparseReads) => {
    await withServer({ exports: { d: new MemoryBackend(SIZE) }, sparseReads }, async (client) => {
      const model = new Uint8Array(SIZE);
      let overlapping: Promise<unknown>[] = [];
      let touched: [number, number][] = [];
      for (const [index, { kind, range: [start, length] }] of steps.entries()) {
        const end = Math.min(SIZE, start + length);
        // Only what touches different bytes may overlap: the order is the server's choice.
        if (touched.some(([from, to]) => start < to && from < end)) {
          await Promise.all(overlapping);
          overlapping = [];
          touched = [];
        }
        touched.push([start, end]);
        if (kind === "read") {
          const expected = model.slice(start, end);
          overlapping.push(
            client.read(start, end - start).then((got) => assert.deepEqual(got, expected)),
          );
        } else if (kind === "write") {
          const bytes = patterned(end - start, index);
          model.set(bytes, start);
          overlapping.push(client.write(start, bytes));
        } else {
          model.fill(0, start, end);
          const noHole = kind === "noHole";
          overlapping.push(client.writeZeroes(start, end - start, { noHole }));
        }
      }
      await Promise.all(overlapping);
      await client.flush();
      const extents = await client.allocatedExtents();
      assert.equal(extents.reduce((sum, extent) => sum + extent.lengthBytes, 0), SIZE);
      for (const { kind, offsetBytes, lengthBytes } of extents) {
        const part = model.subarray(offsetBytes, offsetBytes + lengthBytes);
        if (kind === "zero") assert(part.every((byte) => byte === 0));
      }
      assert.deepEqual(await client.read(0, SIZE), model);
    });
  });
  await fc.assert(runs, { numRuns: 25 });
});

/** A backend whose reads end when the test says so; each reads as its offset's last byte. */
function gatedBackend() {
  const gates = new Map<number, PromiseWithResolvers<void>>();
  let onRead = () => {};
  const backend: NbdBackend = {
    ...unused(),
    sizeBytes: 4096 * 256,
    async read(offsetBytes, into) {
      const gate = Promise.withResolvers<void>();
      gates.set(offsetBytes, gate);
      onRead();
      await gate.promise;
      into.fill(offsetBytes / 4096);
    },
  };
  const reached = (count: number) =>
    new Promise<void>((resolve) => {
      onRead = () => {
        if (gates.size >= count) resolve();
      };
      onRead();
    });
  return { backend, gates, reached };
}

function unused(): NbdBackend {
  const unexpected = () => Promise.reject(new Error("not expected"));
  return {
    sizeBytes: SIZE,
    read: unexpected,
    write: unexpected,
    zero: unexpected,
    flush: unexpected,
  };
}

Deno.test("replies in reverse order reach their own requests; 16 are in flight, not more", async () => {
  const { backend, gates, reached } = gatedBackend();
  await withServer({ exports: { d: backend } }, async (client) => {
    const order: number[] = [];
    const reads = Array.from({ length: 20 }, async (_, index) => {
      const bytes = await client.read(index * 4096, 4096);
      order.push(index);
      assert(bytes.every((byte) => byte === index));
    });
    await reached(16);
    assert.deepEqual([...gates.keys()], Array.from({ length: 16 }, (_, index) => index * 4096));
    for (let index = 15; index >= 0; index--) {
      gates.get(index * 4096)!.resolve();
      if (index > 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await reached(20);
    for (const gate of gates.values()) gate.resolve();
    await Promise.all(reads);
    assert.deepEqual(order.slice(0, 16).toSorted((a, b) => a - b), order.slice(0, 16).toReversed());
  });
});

Deno.test("a cut connection rejects what is open and everything after it", async () => {
  const { backend, gates, reached } = gatedBackend();
  await withServer({ exports: { d: backend } }, async (client, server) => {
    const reads = Array.from({ length: 20 }, (_, index) => client.read(index * 4096, 4096));
    const settled = Promise.allSettled(reads);
    await reached(16);
    server.disconnectAll();
    for (const result of await settled) {
      assert(result.status === "rejected");
      assert.equal(result.reason.code, "nbd_disconnected");
      assert.match(result.reason.message, /connection lost/);
    }
    await assert.rejects(client.read(0, 1), { code: "nbd_disconnected" });
    await assert.rejects(client.flush(), { code: "nbd_disconnected" });
    for (const gate of gates.values()) gate.resolve();
  });
});

Deno.test("closing rejects what is open, and may be repeated", async () => {
  const { backend, gates, reached } = gatedBackend();
  await withServer({ exports: { d: backend } }, async (client) => {
    const open = client.read(0, 4096);
    const rejected = assert.rejects(open, {
      code: "nbd_disconnected",
      message: /closed on this side/,
    });
    await reached(1);
    await client.close();
    await rejected;
    await client.close();
    gates.get(0)!.resolve();
  });
});

Deno.test("a failing backend fails its request by name and place, not the connection", async () => {
  const failing: NbdBackend = {
    ...unused(),
    read: () => Promise.reject(new NbdBackendError("EIO", "bad sector")),
    write: () => Promise.reject(Object.assign(new Error("no room"), { code: "ENOSPC" })),
    zero: () => Promise.reject(new Error("secret path")),
    flush: () => Promise.resolve(),
  };
  await withServer({ exports: { d: failing } }, async (client) => {
    const large = patterned(300_000, 1);
    await assert.rejects(client.read(8192, 4096), {
      code: "nbd_io_error",
      message:
        'Cannot read 4096 bytes at 8192 of NBD export "d": the server answers EIO (bad sector)',
    });
    await assert.rejects(client.write(4096, large), { code: "disk_full", message: /ENOSPC/ });
    await assert.rejects(client.writeZeroes(0, 512), {
      code: "nbd_io_error",
      message: /EIO$/,
    });
    await client.flush();
  });
});

Deno.test("reads and writes beyond the payload limit travel in pieces", async () => {
  const size = 80 * 1024 * 1024;
  await withServer({ exports: { d: new MemoryBackend(size, 1024 * 1024) } }, async (client) => {
    const bytes = new Uint8Array(70 * 1024 * 1024);
    for (let at = 0; at < bytes.length; at += 4096) bytes.set([at >> 24, at >> 16, at >> 8], at);
    await client.write(1234, bytes);
    const into = new Uint8Array(bytes.length);
    assert.equal(await client.read(1234, bytes.length, into), into);
    assert.equal(Buffer.compare(into, bytes), 0);
  });
});

Deno.test("ranges outside the export and a wrong buffer are argument errors", async () => {
  await withServer({ exports: { d: new MemoryBackend(SIZE) } }, async (client) => {
    await assert.rejects(client.read(SIZE, 1), RangeError);
    await assert.rejects(client.read(-1, 1), RangeError);
    await assert.rejects(client.read(0.5, 1), RangeError);
    await assert.rejects(client.read(0, 8, new Uint8Array(9)), RangeError);
    await assert.rejects(client.write(SIZE - 1, new Uint8Array(2)), RangeError);
    await assert.rejects(client.blockStatus("base:allocation", 0, SIZE + 1), RangeError);
    assert.equal((await client.read(SIZE, 0)).length, 0);
    assert.deepEqual(await client.blockStatus("base:allocation", SIZE, 0), []);
  });
});

Deno.test("a read-only export refuses writes before they are sent, and needs no flush", async () => {
  const backend: NbdBackend = { ...unused(), readOnly: true };
  await withServer({ exports: { d: backend } }, async (client) => {
    assert(client.readOnly);
    await assert.rejects(client.write(0, new Uint8Array(1)), { code: "nbd_refused" });
    await assert.rejects(client.writeZeroes(0, 1), { code: "nbd_refused" });
    await client.flush();
    await assert.rejects(client.dirtyExtents("qemu:dirty-bitmap:b"), { code: "nbd_refused" });
    const size = { offsetBytes: 0, lengthBytes: SIZE, kind: "data" };
    assert.deepEqual(await client.allocatedExtents(), [size]);
  });
});

Deno.test("a disk that the server describes in short steps is walked to its end", async () => {
  const sizeBytes = 10 * 1024 ** 4;
  const backend: NbdBackend = {
    ...unused(),
    sizeBytes,
    status(offsetBytes, lengthBytes) {
      const kind = offsetBytes === 0 ? "data" : "zero";
      const step = offsetBytes === 0 ? 65536 : lengthBytes;
      return Promise.resolve([{ offsetBytes, lengthBytes: step, kind }]);
    },
  };
  await withServer({ exports: { d: backend } }, async (client) => {
    assert.deepEqual(await client.allocatedExtents(), [
      { offsetBytes: 0, lengthBytes: 65536, kind: "data" },
      { offsetBytes: 65536, lengthBytes: sizeBytes - 65536, kind: "zero" },
    ]);
  });
});

Deno.test("beyond its bound of extents the rest of a disk counts as data", async () => {
  const disk = new MemoryBackend(SIZE, 512);
  for (let at = 0; at < SIZE; at += 4096) await disk.write(at, new Uint8Array(1));
  const short: NbdBackend = {
    ...unused(),
    status: (offsetBytes, lengthBytes) => disk.status(offsetBytes, Math.min(lengthBytes, 4096)),
  };
  await withServer({ exports: { d: short } }, async (_client, _server, address) => {
    const metaContexts = ["base:allocation"];
    await using client = await connectNbd({
      address,
      exportName: "d",
      metaContexts,
      maxExtents: 6,
    });
    const extents = await client.allocatedExtents();
    assert.equal(extents.length, 7);
    const last = { offsetBytes: 3 * 4096, lengthBytes: SIZE - 3 * 4096, kind: "data" };
    assert.deepEqual(extents.at(-1), last);
    await using all = await connectNbd({ address, exportName: "d", metaContexts });
    assert.equal((await all.allocatedExtents()).length, 2 * Math.ceil(SIZE / 4096) - 1);
  });
});

Deno.test("a server that describes a few clean bytes at a time is not asked for ever", async () => {
  let asked = 0;
  const connection = {
    negotiated: {
      sizeBytes: SIZE,
      flags: 1,
      blockSizes: DEFAULT_BLOCK_SIZES,
      structured: true,
      contexts: new Map([[1, "qemu:dirty-bitmap:b0"]]),
    },
    request({ offsetBytes }: { offsetBytes: number }) {
      asked++;
      const clean = [{ offsetBytes, lengthBytes: 1, flags: 0 }];
      return Promise.resolve({ kind: "status", contexts: new Map([[1, clean]]) });
    },
  } as unknown as Connection;
  const client = new NbdClient(connection, "d", 10);
  assert.deepEqual(await client.dirtyExtents("qemu:dirty-bitmap:b0"), [
    { offsetBytes: 10, lengthBytes: SIZE - 10, kind: "data" },
  ]);
  assert.equal(asked, 10);
});

Deno.test("TCP works as unix sockets do", async () => {
  const address = { kind: "tcp", hostname: "127.0.0.1", port: 0 } as const;
  const server = serveNbd({ address, exports: { d: new MemoryBackend(SIZE) } });
  const client = await connectNbd({ address: server.address, exportName: "d" });
  const bytes = patterned(300_000, 7);
  await client.write(5, bytes);
  assert.deepEqual(await client.read(5, bytes.length), bytes);
  await client.close();
  await server.close();
});

Deno.test("an address where nobody listens is told with the address", async () => {
  await withDirectory(async (directory) => {
    const address = { kind: "unix", path: `${directory}/nobody` } as const;
    await assert.rejects(connectNbd({ address, exportName: "d" }), {
      code: "nbd_disconnected",
      message: /unix:.*nobody/,
    });
  });
});

/** Accepts one client and gives it `script`; without one, it stays silent. */
async function withScript(
  script: Uint8Array | null,
  run: (address: { kind: "unix"; path: string }, accepted: Promise<Deno.Conn>) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const path = `${directory}/s`;
    const listener = Deno.listen({ transport: "unix", path });
    const accepted = listener.accept();
    const served = accepted.then(async (conn) => {
      if (script) await conn.write(script);
      return conn;
    });
    await run({ kind: "unix", path }, served);
    (await accepted).close();
    listener.close();
  });
}

Deno.test("an abort ends a handshake that a silent server never finishes", async () => {
  await withScript(null, async (address, accepted) => {
    const abort = new AbortController();
    const connecting = connectNbd({ address, exportName: "d", signal: abort.signal });
    await accepted;
    abort.abort(new Error("enough"));
    await assert.rejects(connecting, /enough/);
  });
  const aborted = AbortSignal.abort(new Error("too late"));
  const address = { kind: "unix", path: "/nowhere" } as const;
  await assert.rejects(connectNbd({ address, exportName: "d", signal: aborted }), /too late/);
});

Deno.test("a server that is none, or breaks the protocol, is told apart from a lost one", async () => {
  await withScript(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n"), async (address) => {
    await assert.rejects(connectNbd({ address, exportName: "d" }), { code: "nbd_protocol" });
  });
  const size = encodeExportInfo({ kind: "export", sizeBytes: 4096, flags: 1 });
  const script = [
    encodeGreeting(3),
    encodeOptionReply(OPTION.structuredReply, OPTION_REPLY.ack),
    encodeOptionReply(OPTION.go, OPTION_REPLY.info, size),
    encodeOptionReply(OPTION.go, OPTION_REPLY.ack),
  ];
  await withScript(Buffer.concat(script), async (address, accepted) => {
    const client = await connectNbd({ address, exportName: "d" });
    const reading = client.read(0, 512);
    const rejected = assert.rejects(reading, { code: "nbd_protocol" });
    await (await accepted).write(new Uint8Array(64));
    await rejected;
    await assert.rejects(client.read(0, 512), { code: "nbd_protocol" });
    await client.close();
  });
});

Deno.test("a client never has more than 16 requests open at a server that takes more", async () => {
  const size = encodeExportInfo({ kind: "export", sizeBytes: 2 ** 30, flags: 1 });
  const script = Buffer.concat([
    encodeGreeting(3),
    encodeOptionReply(OPTION.structuredReply, OPTION_REPLY.unsupported),
    encodeOptionReply(OPTION.go, OPTION_REPLY.info, size),
    encodeOptionReply(OPTION.go, OPTION_REPLY.ack),
  ]);
  await withScript(script, async (address, accepted) => {
    const client = await connectNbd({ address, exportName: "d" });
    const conn = await accepted;
    const optionBytes = 4 + 16 + 16 + 4 + 1 + 2 + 2;
    const input = new Uint8Array(4096);
    const receiveTo = async (totalBytes: number) => {
      while (receivedBytes < totalBytes) receivedBytes += await conn.read(input) ?? 0;
    };
    let receivedBytes = 0;
    await receiveTo(optionBytes);
    const reads = Array.from({ length: 40 }, () => client.read(0, 1));
    const settled = Promise.allSettled(reads);
    await receiveTo(optionBytes + 16 * REQUEST_BYTES);
    assert.equal(receivedBytes, optionBytes + 16 * REQUEST_BYTES);
    await conn.write(encodeSimpleReply({ errno: 5, cookie: 3n }));
    await receiveTo(optionBytes + 17 * REQUEST_BYTES);
    assert.equal(receivedBytes, optionBytes + 17 * REQUEST_BYTES);
    await assert.rejects(reads[2], { code: "nbd_io_error" });
    await client.close();
    assert((await settled).every((result) => result.status === "rejected"));
  });
});
