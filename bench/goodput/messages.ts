import { cpuUsage } from "node:process";

/** What the ends of one measured transfer print, one JSON object per line. */
export type EndLine =
  | { readonly event: "listening"; readonly address: string }
  | { readonly event: "sending" }
  /** Payload bytes received so far, every `SAMPLE_MS` from the first byte on. */
  | {
    readonly event: "received";
    readonly atMs: number;
    readonly epochMs: number;
    readonly bytes: number;
  }
  /** Round trips of small urgent records while the bulk went, sorted. */
  | { readonly event: "echoes"; readonly ms: readonly number[] }
  | { readonly event: "trace"; readonly [field: string]: unknown }
  | { readonly event: "done"; readonly cpuMs: number };

export const SAMPLE_MS = 100;
export const ECHO_MS = 50;

/** Payload of one record or write; long enough that framing does not count. */
export const RECORD_BYTES = 128 * 1024;

export function print(line: EndLine): void {
  console.log(JSON.stringify(line));
}

/** Bytes that no compressor shortens, made once. */
export function incompressible(lengthBytes: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lengthBytes);
  // The generator gives at most 65,536 bytes at a time.
  for (let at = 0; at < lengthBytes; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  }
  return bytes;
}

/**
 * Prints how much has arrived until the program is stopped, which on a far path is before it has seen
 * the other end close.
 */
export function sampleReceived(bytesSoFar: () => number): void {
  Deno.addSignalListener("SIGTERM", () => {
    print({ event: "done", cpuMs: cpuMs() });
    Deno.exit(0);
  });
  let startMs: number | null = null;
  setInterval(() => {
    const bytes = bytesSoFar();
    if (bytes === 0) return;
    startMs ??= performance.now();
    print({
      event: "received",
      atMs: performance.now() - startMs,
      epochMs: performance.timeOrigin + performance.now(),
      bytes,
    });
  }, SAMPLE_MS);
}

/** CPU time of this process so far, user and system. */
export function cpuMs(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1000;
}
