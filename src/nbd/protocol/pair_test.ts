import assert from "node:assert/strict";
import fc from "fast-check";
import { pack, packString } from "./bytes.ts";
import { listExports, negotiate, type NegotiatedExport } from "./client_handshake.ts";
import { OPTION, OPTION_REPLY, TRANSMISSION } from "./constants.ts";
import {
  DEFAULT_BLOCK_SIZES,
  encodeContext,
  encodeExportInfo,
  encodeGreeting,
  encodeOption,
  encodeOptionReply,
} from "./handshake.ts";
import { Intake, type Parser } from "./intake.ts";
import { accept, type AcceptedExport, type ServedExport } from "./server_handshake.ts";

function served(name: string, hasAllocation = true): ServedExport {
  return {
    name,
    sizeBytes: 1_000_000_007,
    flags: TRANSMISSION.flush,
    blockSizes: DEFAULT_BLOCK_SIZES,
    hasAllocation,
  };
}

/** Runs a parser to its result; `result` is null until it has one. */
function run<T>(start: (send: (bytes: Uint8Array) => void) => Parser<T>) {
  const out: Uint8Array[] = [];
  const state = { result: null as { value: T } | null };
  const session = function* (): Parser {
    state.result = { value: yield* start((bytes) => out.push(bytes)) };
  };
  const intake = new Intake(session());
  return {
    state,
    feed: (bytes: Uint8Array) => intake.feed(bytes),
    takeOutput: () => pack(...out.splice(0)),
  };
}

/** Carries bytes both ways in pieces of `pieceBytes` until nobody has any left. */
function converse<C, S>(
  client: ReturnType<typeof run<C>>,
  server: ReturnType<typeof run<S>>,
  pieceBytes: number,
): void {
  const carry = (bytes: Uint8Array, to: { feed(bytes: Uint8Array): void }) => {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      to.feed(bytes.subarray(at, at + pieceBytes));
    }
    return bytes.length;
  };
  while (carry(server.takeOutput(), client) + carry(client.takeOutput(), server) > 0);
}

Deno.test("client and server agree at any chunking on size, flags, chunks and contexts", () => {
  const piece = fc.integer({ min: 1, max: 60 });
  fc.assert(fc.property(piece, fc.boolean(), fc.boolean(), (pieceBytes, offered, wanted) => {
    const exports = [served("other"), served("disk0", offered)];
    const contexts = wanted ? ["base:allocation", "qemu:dirty-bitmap:b0"] : [];
    const client = run((send) => negotiate({ exportName: "disk0", contexts }, send));
    const server = run((send) => accept(exports, send));
    converse<NegotiatedExport, AcceptedExport | null>(client, server, pieceBytes);
    assert.deepEqual(client.state.result?.value, {
      sizeBytes: 1_000_000_007,
      flags: TRANSMISSION.hasFlags | TRANSMISSION.flush | TRANSMISSION.doNotFragment,
      blockSizes: DEFAULT_BLOCK_SIZES,
      structured: true,
      contexts: new Map(wanted && offered ? [[1, "base:allocation"]] : []),
    });
    assert.deepEqual(server.state.result?.value, {
      served: exports[1],
      structured: true,
      allocation: wanted && offered,
    });
  }));
});

Deno.test("an unknown export is refused by name, and the server listens on", () => {
  const client = run((send) => negotiate({ exportName: "nope", contexts: [] }, send));
  const server = run((send) => accept([served("disk0")], send));
  assert.throws(() => converse(client, server, 7), {
    code: "nbd_refused",
    message: /"nope": the server has no such export/,
  });
  assert.equal(server.state.result, null);
});

Deno.test("a list names all exports and leaves politely", () => {
  const client = run((send) => listExports(send));
  const server = run((send) => accept([served("a"), served("ß")], send));
  converse(client, server, 3);
  assert.deepEqual(client.state.result?.value, ["a", "ß"]);
  assert.deepEqual(server.state.result, { value: null });
});

/** A server without GO, as they were before 2017, that also has no structured replies. */
function oldServer(noZeroes: boolean): Uint8Array {
  const unsupported = (option: number) => encodeOptionReply(option, OPTION_REPLY.unsupported);
  return pack(
    encodeGreeting(noZeroes ? 3 : 1),
    unsupported(OPTION.structuredReply),
    unsupported(OPTION.go),
    [64, 4096],
    [16, 0x21],
    new Uint8Array(noZeroes ? 0 : 124),
  );
}

Deno.test("a server without GO is opened by EXPORT_NAME, with and without padding", () => {
  for (const noZeroes of [false, true]) {
    const wanted = { exportName: "d", contexts: ["base:allocation"] };
    const client = run((send) => negotiate(wanted, send));
    client.feed(oldServer(noZeroes));
    const { sizeBytes, flags, structured, contexts } = client.state.result!.value;
    assert.deepEqual({ sizeBytes, flags, structured, contexts: contexts.size }, {
      sizeBytes: 4096,
      flags: 0x21,
      structured: false,
      contexts: 0,
    });
    const expected = pack(
      [32, noZeroes ? 3 : 1],
      encodeOption(OPTION.structuredReply),
      encodeOption(OPTION.go, pack(packString("d"), [16, 1], [16, 3])),
      encodeOption(OPTION.exportName, new TextEncoder().encode("d")),
    );
    assert.deepEqual(client.takeOutput(), expected);
  }
});

const start = pack(encodeGreeting(3), encodeOptionReply(OPTION.structuredReply, OPTION_REPLY.ack));
const size = encodeExportInfo({ kind: "export", sizeBytes: 512, flags: 1 });

const HOSTILE: [name: string, bytes: Uint8Array, code: string][] = [
  ["no fixed newstyle", encodeGreeting(2), "nbd_protocol"],
  ["an answer to another option", pack(encodeGreeting(3), encodeOptionReply(3, 1)), "nbd_protocol"],
  ["an export without size", pack(start, encodeOptionReply(OPTION.go, 1)), "nbd_protocol"],
  [
    "endless information",
    pack(start, ...Array(10_001).fill(encodeOptionReply(OPTION.go, 3, size))),
    "nbd_protocol",
  ],
  ["TLS only", pack(start, encodeOptionReply(OPTION.go, OPTION_REPLY.tlsRequired)), "nbd_refused"],
  ["an unknown error", pack(start, encodeOptionReply(OPTION.go, 0x8000_0fff)), "nbd_refused"],
];

for (const [name, bytes, code] of HOSTILE) {
  Deno.test(`the client ends the handshake at ${name}: ${code}`, () => {
    const client = run((send) => negotiate({ exportName: "d", contexts: [] }, send));
    assert.throws(() => client.feed(bytes), { name: "GatewayError", code });
  });
}

Deno.test("a server that selects a context unasked, or twice, is refused", () => {
  const contexts = ["base:allocation", "qemu:dirty-bitmap:b0"];
  const cases: [number, string][][] = [
    [[0, "x:0"]],
    [[0, "base:allocation"], [1, "base:allocation"]],
    [[0, "base:allocation"], [0, "qemu:dirty-bitmap:b0"]],
  ];
  for (const selected of cases) {
    const client = run((send) => negotiate({ exportName: "d", contexts }, send));
    client.feed(start);
    assert.throws(() => {
      for (const [id, name] of selected) {
        const payload = encodeContext(id, name);
        client.feed(encodeOptionReply(OPTION.setMetaContext, OPTION_REPLY.metaContext, payload));
      }
    }, { code: "nbd_protocol" });
  }
});

Deno.test("the server answers what it does not know with ERR_UNSUP and goes on", () => {
  const server = run((send) => accept([served("d")], send));
  server.takeOutput();
  server.feed(pack([32, 3], encodeOption(11), encodeOption(5), encodeOption(77, size)));
  const unsupported = (option: number) => encodeOptionReply(option, OPTION_REPLY.unsupported);
  assert.deepEqual(server.takeOutput(), pack(unsupported(11), unsupported(5), unsupported(77)));
  server.feed(encodeOption(OPTION.exportName, new TextEncoder().encode("d")));
  assert.equal(server.state.result?.value?.served.name, "d");
  assert.deepEqual(server.takeOutput(), pack([64, 1_000_000_007], [16, 5]));
});

Deno.test("the server tells a client which option was malformed and goes on", () => {
  const server = run((send) => accept([served("d")], send));
  server.takeOutput();
  const cases = [
    encodeOption(OPTION.go, pack([32, 99], "d")),
    encodeOption(OPTION.structuredReply, size),
    encodeOption(OPTION.setMetaContext, pack(packString("d"), [32, 0])),
  ];
  server.feed(pack([32, 3], ...cases));
  const types: number[] = [];
  const output = server.takeOutput();
  const view = new DataView(output.buffer);
  for (let at = 0; at < output.length; at += 20 + view.getUint32(at + 16)) {
    types.push(view.getUint32(at + 12));
  }
  assert.deepEqual(types, cases.map(() => OPTION_REPLY.invalid));
});

Deno.test("garbage never gets past the typed errors, on either side", () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(fc.property(fc.constantFrom("client", "server"), bytes, (side, garbage) => {
    const wanted = { exportName: "d", contexts: ["base:allocation"] };
    const peer = side === "client"
      ? run((send) => negotiate(wanted, send))
      : run((send) => accept([served("d")], send));
    peer.feed(side === "client" ? encodeGreeting(3) : pack([32, 3]));
    try {
      peer.feed(garbage);
    } catch (cause) {
      assert.equal((cause as { name: string }).name, "GatewayError");
    }
    assert.equal(peer.state.result, null);
  }));
});
