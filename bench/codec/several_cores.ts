import { systemClock } from "../../src/host/system_clock.ts";
import { WorkerSealer } from "../../src/sealing/worker_sealer.ts";
import { cpuSeconds } from "../limits/cpu.ts";
import { Images } from "./measure.ts";
import { type Packing, SourcePipeline } from "./pipeline.ts";

/** One first pass with so many workers beside the gateway's own thread. */
export interface CoresRun {
  readonly workers: number;
  readonly bytesPerSecond: number;
  readonly bytesPerCpuSecond: number;
  /** Cores that it had on the whole; on a shared machine fewer than it could use. */
  readonly cores: number;
}

/** Sends a pass with workers that have been started before. */
export async function measureCores(
  { chunks, contentBytes, packing, workers, directory }: {
    readonly chunks: readonly Uint8Array[];
    readonly contentBytes: number;
    readonly packing: Packing;
    readonly workers: number;
    readonly directory: string;
  },
): Promise<CoresRun> {
  const sealer = new WorkerSealer({
    workers,
    clock: systemClock(),
    log: (_, message) => console.error(message),
    warmUpBytes: 0,
  });
  const images = new Images(directory, 2 * contentBytes);
  try {
    await new SourcePipeline(images.opener("held"), packing, sealer).send(chunks);
    const pipeline = new SourcePipeline(images.opener("held"), packing, sealer);
    const [begunMs, begun] = [performance.now(), cpuSeconds()];
    await pipeline.send(chunks);
    const seconds = (performance.now() - begunMs) / 1000;
    const cpu = cpuSeconds() - begun;
    return {
      workers,
      bytesPerSecond: contentBytes / seconds,
      bytesPerCpuSecond: contentBytes / cpu,
      cores: cpu / seconds,
    };
  } finally {
    images.close();
    sealer.close();
  }
}
