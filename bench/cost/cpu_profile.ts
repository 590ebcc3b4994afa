/** A sampling profile of V8, as its debugging protocol gives it (domain Profiler). */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
  };
  readonly children?: readonly number[];
}

const SAMPLE_US = 500;

/** Samples another process from now on; what it gives ends that. */
export async function startProfile(debuggerUrl: string): Promise<() => Promise<CpuProfile>> {
  const socket = new WebSocket(debuggerUrl);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error(`Nothing answers at ${debuggerUrl}`));
  });
  const waiting = new Map<number, (result: unknown) => void>();
  socket.onmessage = ({ data }) => {
    const { id, result } = JSON.parse(data);
    waiting.get(id)?.(result);
  };
  const ask = (id: number, method: string, params = {}) =>
    new Promise<unknown>((resolve) => {
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
  await ask(1, "Profiler.enable");
  await ask(2, "Profiler.setSamplingInterval", { interval: SAMPLE_US });
  await ask(3, "Profiler.start");
  return async () => {
    const { profile } = await ask(4, "Profiler.stop") as { profile: CpuProfile };
    socket.close();
    return profile;
  };
}

/** One function's share of the time that the main thread was in JavaScript or called from there. */
export interface ProfileShare {
  readonly name: string;
  readonly ratio: number;
}

/**
 * Functions of the project by the time in themselves and in the runtime's code that they called,
 * the longest first. What no function of the project called stands under the runtime's own name.
 */
export function timeByFunction({ nodes, samples, timeDeltas }: CpuProfile): ProfileShare[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(
    nodes.flatMap(({ id, children }) =>
      (children ?? []).map((child): [number, number] => [child, id])
    ),
  );
  const times = new Map<string, number>();
  let busyUs = 0;
  samples.forEach((id, at) => {
    if (byId.get(id)!.callFrame.functionName === "(idle)") return;
    let owner: number | undefined = id;
    while (owner !== undefined && !isOurs(byId.get(owner)!)) owner = parents.get(owner);
    const name = nameOf(byId.get(owner ?? id)!);
    times.set(name, (times.get(name) ?? 0) + timeDeltas[at]);
    busyUs += timeDeltas[at];
  });
  return [...times].sort(([, a], [, b]) => b - a)
    .map(([name, us]) => ({ name, ratio: us / busyUs }));
}

function isOurs({ callFrame }: ProfileNode): boolean {
  return callFrame.url.startsWith("file:");
}

function nameOf({ callFrame }: ProfileNode): string {
  const { functionName, url, lineNumber } = callFrame;
  const place = url === "" ? "" : ` ${url.split("/").slice(-2).join("/")}:${lineNumber + 1}`;
  return `${functionName || "(anonymous)"}${place}`;
}
