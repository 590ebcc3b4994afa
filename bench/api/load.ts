/** What one kind of request was answered, and how fast. */
export interface Answers {
  /** By status. */
  readonly byStatus: Record<string, number>;
  /** Answers that carry `Retry-After`. */
  readonly told: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface Load {
  readonly url: string;
  /** Addresses of the loopback network that requests come from, in turn. */
  readonly from: readonly string[];
  readonly senders: number;
  /** Path and token of the next request; null ends the sender. */
  readonly next: (number: number) => { readonly path: string; readonly token: string } | null;
}

/** Sends requests from many clients at once, each waiting for its answer before it asks again. */
export async function send({ url, from, senders, next }: Load): Promise<Answers> {
  const byStatus: Record<string, number> = {};
  const tookMs: number[] = [];
  let told = 0;
  let number = 0;
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: senders }, async (_, sender) => {
      // A client of its own has connections of its own.
      using client = Deno.createHttpClient({
        localAddress: from[sender % from.length],
        poolMaxIdlePerHost: 1,
      });
      for (let request; (request = next(number++)) !== null;) {
        const atMs = performance.now();
        const response = await fetch(`${url}${request.path}`, {
          client,
          headers: { authorization: `Bearer ${request.token}` },
        });
        await response.arrayBuffer();
        tookMs.push(performance.now() - atMs);
        byStatus[response.status] = (byStatus[response.status] ?? 0) + 1;
        if (response.headers.has("retry-after")) told++;
      }
    }),
  );
  const seconds = (performance.now() - startedMs) / 1000;
  tookMs.sort((one, other) => one - other);
  const at = (ratio: number) => tookMs[Math.floor(ratio * (tookMs.length - 1))] ?? 0;
  return {
    byStatus,
    told,
    perSecond: tookMs.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  };
}
