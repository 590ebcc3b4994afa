import { carrierName } from "../gateway/shown_carrier.ts";
import type { PeerView } from "../gateway/service.ts";
import { answer, type Cli, withClient } from "./cli.ts";
import { formatDuration, formatRate, table } from "./format.ts";
import { readRate } from "./wishes.ts";
import { rateText } from "./wishes_shown.ts";

/** `causeway peers`: the trusted peers and the links to them. */
export function peers(cli: Cli): Promise<number> {
  return withClient(cli, async (client) => {
    const views = await client.get<PeerView[]>("/v1/peers");
    answer(cli, views, () => overview(views));
    return 0;
  });
}

/** `causeway peers limit`: caps everything that goes to a peer. */
export async function limitPeer(
  cli: Cli,
  name: string,
  options: { readonly rate: string },
): Promise<number> {
  const rate = await readRate(options.rate);
  return await withClient(cli, async (client) => {
    const path = `/v1/peers/${encodeURIComponent(name)}`;
    const view = await client.request<PeerView>("PATCH", path, { rate });
    answer(cli, view, () => [`${name}: ${rateText(view.rate, view.rateBytesPerSecond)}`]);
    return 0;
  });
}

function overview(views: readonly PeerView[]): string[] {
  if (views.length === 0) return ["No peers; add one with `causeway trust`"];
  const lines = table(
    [
      "NAME",
      "STATE",
      "CARRIER",
      "ADDRESS",
      "ROUND TRIP",
      "LOSS",
      "BOTTLENECK",
      "CAP",
      "FINGERPRINT",
    ],
    views.map(({ path, ...peer }) => [
      peer.name,
      peer.state,
      peer.carrier?.kind ?? "-",
      peer.address ?? "-",
      path.roundTripMs === null ? "-" : formatDuration(path.roundTripMs),
      path.lossRatio === null ? "-" : `${(path.lossRatio * 100).toFixed(2)} %`,
      path.bottleneckBytesPerSecond === null ? "-" : formatRate(path.bottleneckBytesPerSecond),
      peer.rate === null ? "-" : rateText(peer.rate, peer.rateBytesPerSecond),
      peer.fingerprint,
    ]),
  );
  const troubles = views.flatMap(({ name, lastError }) =>
    lastError ? [`${name}: ${lastError.message}`, `  ${lastError.hint}`] : []
  );
  const detours = views.flatMap(({ name, carrier }) =>
    carrier?.kind === "tls"
      ? [`${name}: over ${carrierName(carrier.kind, carrier.congestionControl)}: ${carrier.reason}`]
      : []
  );
  return [...lines, ...detours, ...troubles];
}
