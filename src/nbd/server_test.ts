import assert from "node:assert/strict";
import { MemoryBackend } from "./memory_backend.ts";
import { pack } from "./protocol/bytes.ts";
import { listExports, negotiate } from "./protocol/client_handshake.ts";
import { COMMAND, MAX_PAYLOAD_BYTES } from "./protocol/constants.ts";
import { ERRNO } from "./protocol/errno.ts";
import { encodeOption } from "./protocol/handshake.ts";
import { Intake, type Parser } from "./protocol/intake.ts";
import { encodeRequest } from "./protocol/transmission.ts";
import type { NbdAddress } from "./address.ts";
import type { NbdBackend } from "./backend.ts";
import { serveNbd } from "./server.ts";
import { patterned, withDirectory, withServer } from "./test_support.ts";

const SIZE = 1024 * 1024;

/** A client that speaks the handshake and then sends and sees plain bytes. */
async function rawClient(address: NbdAddress, exportName = "d") {
  assert(address.kind === "unix");
  const conn = await Deno.connect({ transport: "unix", path: address.path });
  const queue: Uint8Array[] = [];
  function* session(): Parser {
    yield* negotiate({ exportName, contexts: [] }, (bytes) => queue.push(bytes));
  }
  const intake = new Intake(session());
  const input = new Uint8Array(4096);
  while (!intake.ended) {
    const receivedBytes = await conn.read(input);
    assert(receivedBytes !== null, "the server closed the connection");
    intake.feed(input.subarray(0, receivedBytes));
    for (const bytes of queue.splice(0)) await conn.write(bytes);
  }
  const receive = async (lengthBytes: number) => {
    const bytes = new Uint8Array(lengthBytes);
    for (let at = 0; at < lengthBytes;) {
      const receivedBytes = await conn.read(bytes.subarray(at));
      assert(receivedBytes !== null, "the server closed the connection");
      at += receivedBytes;
    }
    return bytes;
  };
  return { conn, receive };
}

function request(type: number, offsetBytes: number, lengthBytes: number, flags = 0): Uint8Array {
  return encodeRequest({ flags, type, cookie: 0xfeed_0000_0000_0001n, offsetBytes, lengthBytes });
}

const REFUSED: [name: string, header: Uint8Array, payloadBytes: number, errno: number][] = [
  ["an unknown command", request(99, 0, 0), 0, ERRNO.EINVAL],
  ["TRIM, which is not offered", request(COMMAND.trim, 0, 512), 0, ERRNO.EINVAL],
  ["a flag that the command has not", request(COMMAND.flush, 0, 0, 1), 0, ERRNO.EINVAL],
  ["a read past the end", request(COMMAND.read, SIZE - 1, 2), 0, ERRNO.EINVAL],
  ["a write past the end", request(COMMAND.write, SIZE - 1, 2), 2, ERRNO.ENOSPC],
  ["zeroes past the end", request(COMMAND.writeZeroes, 0, SIZE + 1), 0, ERRNO.ENOSPC],
  ["block status without its context", request(COMMAND.blockStatus, 0, 512), 0, ERRNO.EINVAL],
];

Deno.test("refused requests are answered by errno, payload consumed, connection alive", async () => {
  await withServer(
    { exports: { d: new MemoryBackend(SIZE) } },
    async (_client, _server, address) => {
      const { conn, receive } = await rawClient(address);
      for (const [name, header, payloadBytes, errno] of REFUSED) {
        await conn.write(pack(header, new Uint8Array(payloadBytes).fill(0x25)));
        const chunked = header[7] === COMMAND.read || header[7] === COMMAND.blockStatus;
        const reply = new DataView((await receive(chunked ? 26 : 16)).buffer);
        assert.equal(reply.getUint32(chunked ? 20 : 4), errno, name);
        assert.equal(reply.getBigUint64(8), 0xfeed_0000_0000_0001n, name);
      }
      conn.close();
    },
  );
});

Deno.test("a write beyond the payload limit is refused without being kept", async () => {
  const size = 2 * MAX_PAYLOAD_BYTES;
  await withServer(
    { exports: { d: new MemoryBackend(size) } },
    async (_client, _server, address) => {
      const { conn, receive } = await rawClient(address);
      await conn.write(request(COMMAND.write, 0, MAX_PAYLOAD_BYTES + 4096));
      const piece = new Uint8Array(1024 * 1024);
      for (let left = MAX_PAYLOAD_BYTES + 4096; left > 0;) {
        left -= await conn.write(piece.subarray(0, Math.min(left, piece.length)));
      }
      const reply = new DataView((await receive(16)).buffer);
      assert.equal(reply.getUint32(4), ERRNO.EOVERFLOW);
      conn.close();
    },
  );
});

Deno.test("a read-only export answers writes with EPERM", async () => {
  const backend: NbdBackend = Object.assign(new MemoryBackend(SIZE), { readOnly: true });
  await withServer({ exports: { d: backend } }, async (_client, _server, address) => {
    const { conn, receive } = await rawClient(address);
    await conn.write(pack(request(COMMAND.write, 0, 3), "abc"));
    assert.equal(new DataView((await receive(16)).buffer).getUint32(4), ERRNO.EPERM);
    conn.close();
  });
});

Deno.test("garbage ends its own connection, other clients are served on", async () => {
  await withServer(
    { exports: { d: new MemoryBackend(SIZE) } },
    async (client, _server, address) => {
      for (
        const garbage of [
          new Uint8Array(64).fill(0xff),
          pack([32, 3], encodeOption(1, new TextEncoder().encode("unknown"))),
          pack([32, 3], [64, 0x49484156454f5054n], [32, 7], [32, 0xffff_ffff]),
        ]
      ) {
        assert(address.kind === "unix");
        const conn = await Deno.connect({ transport: "unix", path: address.path });
        await conn.write(garbage);
        const seen = new Uint8Array(4096);
        while (await conn.read(seen).catch(() => null) !== null);
        conn.close();
      }
      const { conn } = await rawClient(address);
      await conn.write(new Uint8Array(28));
      assert.equal(await conn.read(new Uint8Array(1)), null);
      conn.close();
      await client.write(0, patterned(512, 3));
      assert.deepEqual(await client.read(0, 512), patterned(512, 3));
    },
  );
});

Deno.test("force unit access flushes before the reply", async () => {
  const calls: string[] = [];
  const memory = new MemoryBackend(SIZE);
  const backend: NbdBackend = {
    sizeBytes: SIZE,
    read: (offsetBytes, into) => memory.read(offsetBytes, into),
    write: () => Promise.resolve(void calls.push("write")),
    zero: () => Promise.resolve(void calls.push("zero")),
    flush: () => Promise.resolve(void calls.push("flush")),
  };
  await withServer({ exports: { d: backend } }, async (_client, _server, address) => {
    const { conn, receive } = await rawClient(address);
    await conn.write(pack(request(COMMAND.write, 0, 1, 1), "x"));
    await receive(16);
    await conn.write(request(COMMAND.writeZeroes, 0, 512, 1));
    await receive(16);
    assert.deepEqual(calls, ["write", "flush", "zero", "flush"]);
    conn.close();
  });
});

Deno.test("exports are listed by name", async () => {
  const exports = { d: new MemoryBackend(1), "zweite": new MemoryBackend(2) };
  await withServer({ exports }, async (_client, _server, address) => {
    assert(address.kind === "unix");
    const conn = await Deno.connect({ transport: "unix", path: address.path });
    const queue: Uint8Array[] = [];
    let names: string[] = [];
    function* session(): Parser {
      names = yield* listExports((bytes) => queue.push(bytes));
    }
    const intake = new Intake(session());
    const input = new Uint8Array(5);
    while (!intake.ended) {
      intake.feed(input.subarray(0, await conn.read(input) ?? 0));
      for (const bytes of queue.splice(0)) await conn.write(bytes);
    }
    assert.deepEqual(names, ["d", "zweite"]);
    conn.close();
  });
});

Deno.test("a closed server removes its socket, and a second one on it is refused before", async () => {
  await withDirectory(async (directory) => {
    const address = { kind: "unix", path: `${directory}/s` } as const;
    const options = { address, exports: {} };
    const server = serveNbd(options);
    assert.throws(() => serveNbd(options), { code: "nbd_disconnected", message: /Cannot serve/ });
    await server.close();
    await serveNbd(options).close();
  });
});
