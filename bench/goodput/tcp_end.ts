/** One end of a transfer over one kernel TCP connection: `receive ADDRESS` or `send ADDRESS SECONDS`. */
import { parseHostPort } from "../../src/config/address.ts";
import { cpuMs, incompressible, print, RECORD_BYTES, sampleReceived } from "./messages.ts";

const [role, address, seconds] = Deno.args;
const target = parseHostPort(address);
if (!target) throw new TypeError(`ADDRESS is HOST:PORT, got ${address}`);
if (role === "receive") {
  using listener = Deno.listen(target);
  const bound = listener.addr as Deno.NetAddr;
  print({ event: "listening", address: `${bound.hostname}:${bound.port}` });
  using conn = await listener.accept();
  const buffer = new Uint8Array(RECORD_BYTES);
  let bytes = 0;
  sampleReceived(() => bytes);
  for (let got: number | null; (got = await conn.read(buffer).catch(() => null)) !== null;) {
    bytes += got;
  }
  print({ event: "done", cpuMs: cpuMs() });
  Deno.exit(0);
}
using conn = await Deno.connect(target);
const payload = incompressible(RECORD_BYTES);
const endMs = performance.now() + Number(seconds) * 1000;
print({ event: "sending" });
while (performance.now() < endMs) await conn.write(payload);
print({ event: "done", cpuMs: cpuMs() });
Deno.exit(0);
