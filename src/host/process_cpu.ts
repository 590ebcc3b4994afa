import { cpuUsage } from "node:process";

/** CPU time of this process so far, all threads, user and system, in ms. */
export function processCpuMs(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1000;
}
