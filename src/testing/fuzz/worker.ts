import { type Budget, Campaign, type CampaignResult } from "./campaign.ts";
import { isFinding, meet } from "./outcome.ts";
import { SharedCase } from "./shared_case.ts";
import { shrink } from "./shrink.ts";
import { openTarget } from "./targets/index.ts";

/** Longer ones of those that met with something new are not worth keeping. */
const NOVEL_BYTES_MAX = 16 * 1024;

/** What a worker is asked: one campaign. */
export interface Job {
  readonly name: string;
  readonly memory: SharedArrayBuffer;
  readonly kept: readonly Uint8Array[];
  readonly budget: Budget;
  /** Inputs that met with something new are made shorter, to be kept. */
  readonly shrinks: boolean;
}

/** What it answers. */
export type JobAnswer =
  | { readonly done: CampaignResult }
  /** The target could not be made: a defect of the fuzzer, or of this machine. */
  | { readonly failed: string };

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Job>) => void;
  postMessage(answer: JobAnswer): void;
};

scope.onmessage = async ({ data }) => {
  try {
    scope.postMessage({ done: await work(data) });
  } catch (thrown) {
    scope.postMessage({ failed: thrown instanceof Error ? thrown.stack! : String(thrown) });
  }
};

async function work({ name, memory, kept, budget, shrinks }: Job): Promise<CampaignResult> {
  const shared = new SharedCase(memory);
  const target = await openTarget(name);
  try {
    const campaign = new Campaign(target, kept, (input) => shared.begin(input));
    const result = await campaign.run(budget);
    if (!shrinks) return { ...result, novel: [] };
    const novel: { signature: string; input: Uint8Array }[] = [];
    for (const { signature, input } of result.novel) {
      if (input.length > NOVEL_BYTES_MAX) continue;
      const shorter = await shrink(input, async (candidate) => {
        shared.begin(candidate);
        const met = await meet(target, candidate);
        return !isFinding(met) && met.signature === signature;
      });
      novel.push({ signature, input: shorter });
    }
    return { ...result, novel };
  } finally {
    await target.close?.();
  }
}
