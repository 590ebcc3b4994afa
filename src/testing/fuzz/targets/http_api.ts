import assert from "node:assert/strict";
import { ERRORS } from "../../../core/error_codes.ts";
import { createApp, REQUEST_BYTES_MAX } from "../../../http/app.ts";
import { fakeService } from "../../../http/testing/fake_service.ts";
import { oneToken } from "../../../http/testing/one_token.ts";
import { systemClock } from "../../../host/system_clock.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import { mutateJson } from "../json_mutator.ts";
import type { FuzzTarget } from "../target.ts";

const TOKEN = "a-token";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const LAUNCH = {
  kind: "qemu",
  launch: { argv: ["qemu"], disks: [{ id: "a", path: "/a", format: "raw", sizeMiB: 1 }] },
};
/** Method, path, body: one for each thing that the API does. */
const REQUESTS: readonly (readonly [string, string, unknown?])[] = [
  ["GET", "/healthz"],
  ["GET", "/metrics"],
  ["GET", "/openapi.json"],
  ["GET", "/v1/guests"],
  ["GET", "/v1/guests/web"],
  ["PUT", "/v1/guests/web", { kind: "reference", memoryMiB: 16, disks: [{ sizeMiB: 1 }] }],
  ["PUT", "/v1/guests/web", { kind: "qemu", qmp: "/qmp", role: "incoming" }],
  ["PUT", "/v1/guests/web", LAUNCH],
  ["DELETE", "/v1/guests/web?end=true"],
  ["POST", "/v1/guests/web/verify"],
  ["GET", "/v1/peers"],
  ["PATCH", "/v1/peers/east", { rate: 2048 }],
  ["GET", "/v1/redirects"],
  ["GET", "/v1/guests/web/redirect-commands"],
  ["POST", "/v1/redirects/m-1/answer", { keep: true, by: "me" }],
  ["POST", "/v1/plan", { guest: "web", to: "east" }],
  ["GET", "/v1/migrations"],
  ["POST", "/v1/migrations", {
    guest: "web",
    to: "east",
    strategy: "precopy",
    maxDowntimeMs: 300,
    hold: false,
    rate: null,
    handover: "fast",
    disable: ["delta"],
  }],
  ["GET", "/v1/migrations/m-1"],
  ["PATCH", "/v1/migrations/m-1", { rate: 5, maxDowntimeMs: 9 }],
  ["POST", "/v1/migrations/m-1/cancel"],
  ["POST", "/v1/migrations/m-1/adjudicate", { owner: "west", reason: "x", force: true, by: "A" }],
  ["DELETE", "/v1/migrations/m-1/leftovers"],
  ["GET", "/v1/audit?limit=7&before=9&kind=x"],
  ["GET", "/v1/tokens"],
  ["POST", "/v1/tokens", { name: "a", role: "read", expiresInDays: 9 }],
  ["DELETE", "/v1/tokens/t-1"],
  ["GET", "/v1/profiles"],
];
const KEYS = ["kind", "role", "qmp", "launch", "argv", "disks", "workload", "rate", "disable"];
const WORDS = [
  "%",
  "%00",
  "%2e%2e",
  "?",
  "&",
  "=",
  "//",
  "..",
  "limit=",
  "end=",
  "\u00e9",
  "#",
  ":",
]
  .map((word) => encoder.encode(word));

/** Requests of HTTP clients: a line with method and path, lines of headers, an empty one, the body. */
export function httpApi(): FuzzTarget {
  const logged: string[] = [];
  const app = createApp({
    service: fakeService().service,
    authorized: oneToken(TOKEN),
    clock: systemClock(),
    log: (level, message) => void (level === "error" && logged.push(message)),
    processFigures: () => ({ residentBytes: 1, heapBytes: 1, cpuSeconds: 1, startedAtSeconds: 1 }),
    profiles: () => Promise.resolve([]),
  });
  return {
    name: "http-api",
    reads: "requests to the API: paths, queries, headers, bodies (src/http)",
    codes: [],
    form: "text",
    bufferBytesMax: 8 * REQUEST_BYTES_MAX,
    testExecutions: 1_200,
    generate: anyRequest,
    mutate: mutateRequest,
    async run(input) {
      const request = requestOf(input);
      if (request === null) return "no request";
      logged.length = 0;
      const answer = await app.fetch(request);
      const body = await answer.text();
      assert.deepEqual(logged, [], "a defect");
      if (answer.status < 400) return `${request.method} ${answer.status} ${pathKind(request.url)}`;
      const problem = JSON.parse(body);
      assert.equal(answer.headers.get("content-type"), "application/problem+json");
      assert.ok(Object.hasOwn(ERRORS, problem.code), problem.code);
      assert.equal(answer.status, problem.status);
      assert.ok(body.length < 8_192, `a problem of ${body.length} characters`);
      return `${answer.status} ${problem.code} ${
        problem.message.replace(/\d+|"[^"]*"/g, "#").slice(0, 60)
      }`;
    },
  };
}

function anyRequest(dice: Dice): Uint8Array {
  const [method, path, body] = dice.pick(REQUESTS);
  const headers = [`authorization: Bearer ${TOKEN}`];
  if (dice.chance(0.2)) headers.push(`content-type: ${dice.pick(["text/plain", "a/b", "x"])}`);
  if (dice.chance(0.1)) headers[0] = dice.pick(["x: y", "authorization: Bearer  x", "cookie: a=b"]);
  const text = body === undefined ? "" : JSON.stringify(body);
  return encoder.encode([`${method} ${path}`, ...headers, "", text].join("\n"));
}

function mutateRequest(input: Uint8Array, dice: Dice, others: readonly Uint8Array[]): Uint8Array {
  const [head, body] = split(input);
  if (body.length > 0 && dice.chance(0.6)) {
    if (dice.chance(0.002)) {
      return join(head, new Uint8Array(REQUEST_BYTES_MAX + dice.below(2)).fill(0x20));
    }
    return join(head, mutateJson(body, dice, [], KEYS));
  }
  if (dice.chance(0.2)) return mutateBytes(input, dice, others, WORDS);
  return join(mutateBytes(head, dice, [], WORDS), body);
}

function split(input: Uint8Array): [head: Uint8Array, body: Uint8Array] {
  const at = decoder.decode(input).indexOf("\n\n");
  return at < 0 ? [input, new Uint8Array()] : [input.subarray(0, at), input.subarray(at + 2)];
}

function join(head: Uint8Array, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.length + 2 + body.length);
  bytes.set(head);
  bytes.set([10, 10], head.length);
  bytes.set(body, head.length + 2);
  return bytes;
}

/** Null for what no server hands on: its own parser refuses it. */
function requestOf(input: Uint8Array): Request | null {
  const [head, body] = split(input);
  const [first, ...lines] = decoder.decode(head).split("\n");
  const [method, ...path] = first.split(" ");
  try {
    const headers = new Headers();
    for (const line of lines) {
      const at = line.indexOf(":");
      if (at > 0) headers.append(line.slice(0, at), line.slice(at + 1).trim());
    }
    const hasBody = body.length > 0 && method !== "GET" && method !== "HEAD";
    return new Request(`http://127.0.0.1/${path.join(" ").replace(/^\//, "")}`, {
      method,
      headers,
      ...(hasBody ? { body: new Uint8Array(body) } : {}),
    });
  } catch {
    return null;
  }
}

function pathKind(url: string): string {
  return new URL(url).pathname.split("/").slice(0, 3).join("/").slice(0, 20);
}
