import type { MiddlewareHandler } from "hono";
import { GatewayError } from "../core/errors.ts";

/**
 * Reads the whole body, up to `maxBytes`, and hands it on as JSON: the API speaks nothing else, so
 * a client need not say so (`curl -d` says it is a form).
 *
 * The request keeps its signal, which tells of a client that hangs up. Without `no-legacy-abort` in
 * deno.json Deno 2.9 would abort it after every answer as well, with a warning.
 *
 * @throws {GatewayError} `request_too_large`, before more than `maxBytes` are held
 */
export function jsonBody(maxBytes: number): MiddlewareHandler {
  return async (c, next) => {
    const { raw } = c.req;
    if (raw.body !== null) {
      if (Number(raw.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge(maxBytes);
      const body = await readAtMost(raw.body, maxBytes);
      const headers = new Headers(raw.headers);
      headers.set("content-type", "application/json");
      c.req.raw = new Request(raw.url, { method: raw.method, headers, body, signal: raw.signal });
    }
    await next();
  };
}

async function readAtMost(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of stream) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  const body = new Uint8Array(sizeBytes);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.length;
  }
  return body;
}

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError(
    "request_too_large",
    `Cannot take this request: its body is longer than ${maxBytes} bytes`,
    { hint: "Send less; no request of this API needs that much" },
  );
}
