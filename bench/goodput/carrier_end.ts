/** One end of a transfer over our own carrier: `receive CONFIG` or `send CONFIG PEER SECONDS KIND`. */
import { loadConfig } from "../../src/config/config.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { openEndpoint } from "../../src/link/endpoint.ts";
import type { Carrier, CarrierKind } from "../../src/link/carrier.ts";
import { QuicCarrier } from "../../src/link/quic_carrier.ts";
import { TlsCarrier } from "../../src/link/tls_carrier.ts";
import {
  cpuMs,
  ECHO_MS,
  incompressible,
  print,
  RECORD_BYTES,
  SAMPLE_MS,
  sampleReceived,
} from "./messages.ts";

/** Nothing else has this length. */
const ECHO_BYTES = 64;

const [role, configPath, peer, seconds, kind] = Deno.args;
const clock = systemClock();
const endpoint = await openEndpoint({
  config: await loadConfig(configPath),
  incarnation: crypto.randomUUID(),
  clock,
  audit: (kind, body) => console.error(kind, body),
});
if (role === "receive") {
  let bytes = 0;
  endpoint.onAccept((carrier) => {
    carrier.receive((record) => {
      if (record.length === ECHO_BYTES) carrier.send(record, true).catch(() => {});
      else bytes += record.length;
    });
    void carrier.closed.then(() => {
      print({ event: "done", cpuMs: cpuMs() });
      void endpoint.close().then(() => Deno.exit(0));
    });
  });
  sampleReceived(() => bytes);
  print({ event: "listening", address: endpoint.address });
} else {
  const carrier = await endpoint.dial(peer, new AbortController().signal, kind as CarrierKind);
  const echoes: number[] = [];
  carrier.receive((echo) => {
    echoes.push(clock.nowMs() - new DataView(echo.buffer, echo.byteOffset).getFloat64(0));
  });
  const record = incompressible(RECORD_BYTES);
  const startMs = clock.nowMs();
  const endMs = startMs + Number(seconds) * 1000;
  const trace = setInterval(() => {
    const atMs = clock.nowMs() - startMs;
    print({ event: "trace", atMs, ...insideOf(carrier), ...carrier.path() });
  }, SAMPLE_MS);
  const probe = setInterval(() => {
    const echo = new Uint8Array(ECHO_BYTES);
    new DataView(echo.buffer).setFloat64(0, clock.nowMs());
    carrier.send(echo, true).catch(() => {});
  }, ECHO_MS);
  print({ event: "sending" });
  while (clock.nowMs() < endMs) await carrier.send(record, false);
  clearInterval(trace);
  clearInterval(probe);
  print({ event: "echoes", ms: echoes.sort((left, right) => left - right) });
  print({ event: "done", cpuMs: cpuMs() });
  await carrier.close("done");
  await endpoint.close();
}

/** What the carrier does at this moment, beside what every carrier measures. */
function insideOf(carrier: Carrier) {
  if (carrier instanceof QuicCarrier) return carrier.pacing;
  if (!(carrier instanceof TlsCarrier)) return {};
  return { ...carrier.window, congestionControl: carrier.congestionControl };
}
