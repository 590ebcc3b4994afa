/** Ticks of `utime` and `stime`: USER_HZ, 100 on every Linux that Deno runs on (proc(5)). */
const TICKS_PER_SECOND = 100;
const KIB = 1024;

/** What a process has used so far, as the kernel counts it. */
export interface ProcessCost {
  /** User and system time, in steps of 10 ms. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** The most that was ever resident (VmHWM). */
  readonly peakResidentBytes: number;
}

/** Reads `/proc/PID`; threads count with their process. */
export async function processCost(pid: number): Promise<ProcessCost> {
  const [stat, status] = await Promise.all([
    Deno.readTextFile(`/proc/${pid}/stat`),
    Deno.readTextFile(`/proc/${pid}/status`),
  ]);
  return {
    cpuSeconds: cpuSecondsOf(stat),
    residentBytes: statusBytes(status, "VmRSS"),
    peakResidentBytes: statusBytes(status, "VmHWM"),
  };
}

/** Fields 14 and 15; the name before them stands in parentheses and may hold anything. */
function cpuSecondsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function statusBytes(status: string, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status);
  if (match === null) throw new Error(`/proc has no ${name}`);
  return Number(match[1]) * KIB;
}

/** Memory that programs can still take (`MemAvailable`). */
export async function availableBytes(): Promise<number> {
  return statusBytes(await Deno.readTextFile("/proc/meminfo"), "MemAvailable");
}
