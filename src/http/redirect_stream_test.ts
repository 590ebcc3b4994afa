import assert from "node:assert/strict";
import { boundView, type RedirectView } from "../redirect/view.ts";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { redirectStream } from "./redirect_stream.ts";
import { KEEP_ALIVE_MS } from "./report_stream.ts";

function open() {
  const clock = new VirtualClock();
  const closing = new AbortController();
  const listeners = new Set<(view: RedirectView) => void>();
  const view = (guest: string, state: RedirectView["state"]) => ({
    ...boundView(guest, "a", [{ ip: "10.1.0.5" }], ["dns"]),
    migration: "m",
    state,
  });
  const reader = redirectStream(
    {
      redirects: () => Promise.resolve([view("db", "bound"), view("web", "prepared")]),
      onRedirect(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    clock,
    closing.signal,
  ).getReader();
  const next = async () => {
    const { value, done } = await reader.read();
    if (done) return null;
    const text = new TextDecoder().decode(value);
    const events = [...text.matchAll(/^event: redirect\ndata: (.*)$/gm)].map(([, data]) => {
      const { guest, state } = JSON.parse(data);
      return `${guest} ${state}`;
    });
    return events.length > 0 ? events.join(", ") : text.trim();
  };
  const publish = (guest: string, state: RedirectView["state"]) =>
    listeners.forEach((listener) => listener(view(guest, state)));
  return { clock, closing, listeners, reader, next, publish };
}

Deno.test("every redirect that there is comes first, then each that changes", async () => {
  const { next, publish, reader, listeners } = open();
  assert.equal(await next(), "web prepared, db bound");
  const waiting = next();
  publish("web", "redirecting");
  assert.equal(await waiting, "web redirecting");
  await reader.cancel();
  assert.equal(listeners.size, 0);
});

Deno.test("a reader that lags gets the newest view of each redirect", async () => {
  const { next, publish, reader } = open();
  await next();
  for (const state of ["redirecting", "draining", "retired"] as const) publish("web", state);
  publish("db", "prepared");
  assert.equal(await next(), "web retired, db prepared");
  await reader.cancel();
});

Deno.test("a silent stream says that it is there, and ends with the gateway", async () => {
  const { next, clock, closing, listeners } = open();
  await next();
  const silent = next();
  await clock.advance(KEEP_ALIVE_MS);
  assert.equal(await silent, ": still here");
  const ended = next();
  closing.abort();
  assert.equal(await ended, null);
  assert.equal(listeners.size, 0);
});
