import assert from "node:assert/strict";
import { withPair } from "../testing/quic_support.ts";
import { tcpTuner } from "./tcp_tuning.ts";

/** Congestion controls that the kernel may give to a socket of this process. */
const hasBbr = (await new Deno.Command("sysctl", {
  args: ["-n", "net.ipv4.tcp_available_congestion_control"],
  stderr: "null",
}).output().then(({ stdout }) => new TextDecoder().decode(stdout), () => "")).includes("bbr");

Deno.test({
  name: "with leave to call the C library the connections of a bundle have BBR at both ends",
  ignore: tcpTuner() === null || !hasBbr,
  fn: () =>
    withPair(async ({ dial }) => {
      const [near, far] = await dial();
      assert.deepEqual([near.congestionControl, far.congestionControl], ["bbr", "bbr"]);
      await near.close("done");
    }, "tls"),
});

Deno.test("a socket that is not of this process, or is gone, is left alone", () => {
  const tuner = tcpTuner();
  if (tuner === null) return;
  const nobody = { localPort: 1, remotePort: 1, remoteAddress: "192.0.2.1" };
  assert.equal(tuner.tune(nobody).congestionControl, null);
  assert.equal(tuner.tune({ ...nobody, remoteAddress: undefined }).congestionControl, null);
  assert.equal(
    tuner.tune({ ...nobody, remoteAddress: "2001:db8::1%eth0" }).congestionControl,
    null,
  );
});
