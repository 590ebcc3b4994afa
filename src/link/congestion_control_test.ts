import assert from "node:assert/strict";
import { parseCongestionControl } from "./congestion_control.ts";

Deno.test("the congestion control is found in what ss prints, whatever stands before it", () => {
  const cases: [string, string | null][] = [
    ["ESTAB 0 0 10.0.0.1:7420 10.0.0.2:4000\n\t bbr wscale:10,10 rto:204 rtt:0.016/0.007", "bbr"],
    ["ESTAB 0 0 a b\n\t ts sack ecn cubic wscale:7,7 rto:201 bbr:(bw:1bps)", "cubic"],
    ["ESTAB 0 0 a b\n\t reno rto:1000 mss:524", "reno"],
    ["", null],
    ["State Recv-Q Send-Q", null],
  ];
  for (const [text, name] of cases) assert.equal(parseCongestionControl(text), name, text);
});
