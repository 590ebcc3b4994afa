import assert from "node:assert/strict";
import type { PathProbe, PeerLink, ProbeOptions } from "../../link/peer_link.ts";
import { probeShared } from "./shared_probe.ts";

/** A link whose probes end when they are told to. */
class ProbedLink {
  readonly probes: { readonly options: ProbeOptions; readonly end: (probe: PathProbe) => void }[] =
    [];

  probePath(options: ProbeOptions = {}): Promise<PathProbe> {
    const probe = Promise.withResolvers<PathProbe>();
    options.signal?.addEventListener("abort", () => probe.reject(options.signal!.reason));
    this.probes.push({ options, end: probe.resolve });
    return probe.promise;
  }

  get link(): PeerLink {
    return this as unknown as PeerLink;
  }
}

const FOUND = { seconds: 1 } as PathProbe;

Deno.test("plans at the same time share one probe, and who gives up leaves it to the others", async () => {
  const probed = new ProbedLink();
  const [one, other] = [new AbortController(), new AbortController()];
  const given = probeShared(probed.link, 3, one.signal);
  const waited = probeShared(probed.link, 3, other.signal);
  one.abort(new Error("given up"));
  await assert.rejects(given, /given up/);
  assert.equal(probed.probes.length, 1);
  assert.equal(probed.probes[0].options.signal!.aborted, false);
  probed.probes[0].end(FOUND);
  assert.equal(await waited, FOUND);
});

Deno.test("a probe ends when nobody waits for it any more, and the next one is a new one", async () => {
  const probed = new ProbedLink();
  const caller = new AbortController();
  const given = probeShared(probed.link, 3, caller.signal);
  caller.abort(new Error("given up"));
  await assert.rejects(given, /given up/);
  assert.ok(probed.probes[0].options.signal!.aborted);
  const next = probeShared(probed.link, 4, new AbortController().signal);
  assert.equal(probed.probes.length, 2);
  assert.equal(probed.probes[1].options.secondsMax, 4);
  probed.probes[1].end(FOUND);
  assert.equal(await next, FOUND);
});
