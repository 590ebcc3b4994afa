import type { CellAnswer, CellOrder } from "../../src/experiment/cell_process.ts";
import type { CellFigures } from "../../src/experiment/row.ts";
import { endDescendants } from "./descendants.ts";

/**
 * What every process of a cell does: reads its order, runs it, prints the answer as its last line.
 * SIGTERM takes everything down that `owned` has got, ends what was being started, and ends it without
 * an answer.
 */
export async function runCell(
  work: (order: CellOrder, owned: AsyncDisposableStack) => Promise<CellFigures>,
): Promise<void> {
  const order = await new Response(Deno.stdin.readable).json() as CellOrder;
  const owned = new AsyncDisposableStack();
  let stopped = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, async () => {
      if (stopped) return;
      stopped = true;
      await owned.disposeAsync().catch(() => {});
      // What was about to be owned would outlive this process, with its output open.
      await endDescendants().catch(() => {});
      Deno.exit(130);
    });
  }
  let answer: CellAnswer;
  try {
    answer = { figures: await work(order, owned) };
  } catch (error) {
    answer = { error: error instanceof Error ? error.message : String(error) };
  }
  // Being taken down already; the signal's handler ends the process.
  if (stopped) return;
  await owned.disposeAsync().catch((error) => console.error(`Not all was taken down: ${error}`));
  console.log(JSON.stringify(answer));
  Deno.exit(0);
}
