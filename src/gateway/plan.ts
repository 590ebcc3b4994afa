import type { PeerLink } from "../link/peer_link.ts";
import { DEVICE_STATE_BYTES, predictDowntime } from "../migration/convergence.ts";
import type { GuestRegistry } from "./guests.ts";
import type { Plan } from "./service.ts";
import { shownPath } from "./shown_path.ts";

/** Shares of the machine's bytes that cross in the best, common and worst case. */
const WIRE_SHARE = { low: 0.2, expected: 0.45, high: 1.05 };

/**
 * What a move would cost by the machine's size and the path as measured so far. Nothing is sampled
 * from the machine yet, so dirty rates are not part of it and the ranges are wide; the remarks say so.
 */
export async function planMove(
  guests: GuestRegistry,
  link: PeerLink,
  guestId: string,
  to: string,
): Promise<Plan> {
  const description = await (await guests.machine(guestId)).describe();
  const path = link.path();
  const bytes = description.memoryBytes +
    description.disks.reduce((sum, disk) => sum + disk.sizeBytes, 0);
  const goodput = path.bottleneckBytesPerSecond;
  const range = (of: (share: number) => number) => ({
    low: Math.round(of(WIRE_SHARE.low)),
    expected: Math.round(of(WIRE_SHARE.expected)),
    high: Math.round(of(WIRE_SHARE.high)),
  });
  const totalMs = goodput === null ? null : range((share) => bytes * share / goodput * 1000);
  const pause = predictDowntime({
    memoryRemainingBytes: 0,
    firstPass: false,
    parkedWireBytes: DEVICE_STATE_BYTES,
    diskDirtyBytes: 0,
    memoryWireRatio: 1,
    diskWireRatio: 1,
    goodputBytesPerSecond: goodput,
    roundTripMs: path.roundTripMs,
  });
  const remarks = [
    "ranges cover content from nearly empty to incompressible; the machine's write rate is not sampled",
    ...(goodput === null ? ["the path has not been measured yet: no durations"] : []),
  ];
  return {
    guest: guestId,
    to,
    path: shownPath(path),
    findings: [],
    strategies: [
      {
        strategy: "precopy",
        totalMs,
        wireBytes: range((share) => bytes * share),
        downtimeMs: goodput === null ? null : {
          low: Math.round(pause.downtimeMs),
          expected: Math.round(pause.downtimeMs * 1.5),
          high: Math.round(pause.downtimeMs * 3),
        },
        fits: null,
        remarks,
      },
      {
        strategy: "stop-and-copy",
        totalMs,
        wireBytes: range((share) => bytes * share),
        downtimeMs: totalMs,
        fits: null,
        remarks: [...remarks, "the machine stands still for the whole copy"],
      },
    ],
  };
}
