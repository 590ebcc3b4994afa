/**
 * The process of a TCP client (see client.ts): echoes, a download and new connections to one machine,
 * by kernel TCP, until its standard input ends. Then it prints a `ClientRecord`.
 *
 * Arguments: address, ports for echo, download and new connections, and the
 * intervals of echoes and connections in ms.
 */
import { type ConnectRecord, Gaps } from "./record.ts";

/** A connection that is not there by then has failed; TCP's second try comes after 1 s, its third after 3. */
const CONNECT_TIMEOUT_MS = 8_000;
const LAST_ANSWER_MS = 10_000;

const [hostname, echoPort, downloadPort, connectPort, intervalMs, connectMs] = Deno.args;
const startMs = performance.now();
const startedWallMs = performance.timeOrigin + startMs;
const now = () => Math.round((performance.now() - startMs) * 10) / 10;
let ending = false;

async function echo() {
  const gaps = new Gaps();
  const seen = { sent: 0, answered: 0, error: null as string | null };
  try {
    using conn = await Deno.connect({ hostname, port: Number(echoPort) });
    conn.setNoDelay(true);
    const reading = (async () => {
      const buffer = new Uint8Array(4096);
      for (;;) {
        const read = await conn.read(buffer);
        if (read === null) throw new Error("the machine closed it");
        gaps.arrived(now());
        seen.answered += read / 8;
      }
    })().catch((error) => {
      if (seen.answered < seen.sent || !ending) seen.error = String(error);
    });
    for (let next = now(); !ending && seen.error === null;) {
      await conn.write(new Uint8Array(8));
      seen.sent++;
      next = Math.max(next + Number(intervalMs), now());
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - now())));
    }
    // What is on its way may wait for TCP's timer.
    const lastMs = now() + LAST_ANSWER_MS;
    while (seen.answered < seen.sent && seen.error === null && now() < lastMs) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    ending = true;
    conn.close();
    await reading;
  } catch (error) {
    if (!ending) seen.error = String(error);
  }
  return { ...seen, gaps: gaps.longest };
}

async function download() {
  const gaps = new Gaps();
  let bytes = 0;
  let error: string | null = null;
  try {
    using conn = await Deno.connect({ hostname, port: Number(downloadPort) });
    const buffer = new Uint8Array(65_536);
    while (!ending) {
      const read = await conn.read(buffer);
      if (read === null) throw new Error("the machine closed it");
      bytes += read;
      gaps.arrived(now());
    }
  } catch (thrown) {
    error = String(thrown);
  }
  return { bytes, error, gaps: gaps.longest };
}

async function connects() {
  const seen: Promise<ConnectRecord>[] = [];
  while (!ending) {
    const atMs = now();
    seen.push((async () => {
      const signal = AbortSignal.timeout(CONNECT_TIMEOUT_MS);
      try {
        const conn = await Deno.connect({ hostname, port: Number(connectPort), signal });
        conn.close();
        return { atMs, tookMs: now() - atMs };
      } catch {
        return { atMs, tookMs: null };
      }
    })());
    await new Promise((resolve) => setTimeout(resolve, Number(connectMs)));
  }
  return await Promise.all(seen);
}

const ended = (async () => {
  for await (const _ of Deno.stdin.readable);
  ending = true;
})();
const [echoed, downloaded, connected] = await Promise.all([echo(), download(), connects()]);
await ended;
const record = { startedWallMs, echo: echoed, download: downloaded, connects: connected };
const text = new TextEncoder().encode(JSON.stringify(record));
for (let at = 0; at < text.length;) at += Deno.stdout.writeSync(text.subarray(at));
Deno.exit(0);
