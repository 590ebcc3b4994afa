import assert from "node:assert/strict";
import type { Means, Target } from "../redirect/means.ts";
import { type RedirectSide, type Stage, STAGES } from "../redirect/state.ts";

/** One site in which a means works, and how to look at it from outside. */
export interface MeansWorld {
  /** A new instance, as a gateway has after a start. */
  make(): Means;
  readonly target: Omit<Target, "stage" | "previous" | "side">;
  /** Everything at the site that a means could leave, in one text. */
  look(): Promise<string>;
}

/**
 * What every means promises (`Means`), for those that leave something at the site. `title` names it in
 * the tests' names.
 */
export function meansSuite(
  title: string,
  open: () => Promise<MeansWorld & AsyncDisposable>,
  options: { readonly ignore?: boolean } = {},
): void {
  const test = (name: string, run: (world: MeansWorld) => Promise<void>) =>
    Deno.test({
      name: `${title}: ${name}`,
      ignore: options.ignore,
      async fn() {
        await using world = await open();
        await run(world);
      },
    });
  const at = (world: MeansWorld, side: RedirectSide, stage: Stage, previous: Stage | null) => ({
    ...world.target,
    side,
    stage,
    previous,
  });

  test("a whole move leaves the site as it was, on either side", async (world) => {
    for (const side of ["old", "new"] as const) {
      const before = await world.look();
      const means = world.make();
      await means.check(at(world, side, "bound", null));
      let previous: Stage | null = null;
      for (const stage of ["prepared", "redirecting", "draining", "retired"] as const) {
        await means.apply(at(world, side, stage, previous));
        if (stage === "redirecting") assert.notEqual(await world.look(), before, side);
        previous = stage;
      }
      assert.equal(await world.look(), before, side);
      await means.letGo();
    }
  });

  test("an undone move leaves the site as it was, from every stage", async (world) => {
    for (const side of ["old", "new"] as const) {
      for (const stages of [["prepared"], ["prepared", "redirecting"]] as const) {
        const before = await world.look();
        const means = world.make();
        for (const stage of stages) await means.apply(at(world, side, stage, null));
        await means.apply(at(world, side, "bound", stages.at(-1)!));
        assert.equal(await world.look(), before, `${side} ${stages}`);
        await means.letGo();
      }
    }
  });

  test("the same stage again, by the same or another instance, changes nothing", async (world) => {
    for (const side of ["old", "new"] as const) {
      const means = world.make();
      await means.apply(at(world, side, "redirecting", null));
      const first = await world.look();
      await means.apply(at(world, side, "redirecting", "redirecting"));
      assert.equal(await world.look(), first);
      await means.letGo();
      const successor = world.make();
      await successor.apply(at(world, side, "redirecting", null));
      assert.equal(await world.look(), first);
      await successor.apply(at(world, side, "retired", null));
      await successor.letGo();
    }
  });

  test("a successor removes what a gateway left that was killed in any stage", async (world) => {
    for (const side of ["old", "new"] as const) {
      for (const stage of STAGES) {
        for (const end of ["bound", "retired"] as const) {
          const before = await world.look();
          const killed = world.make();
          await killed.apply(at(world, side, stage, null));
          await killed.letGo();
          const successor = world.make();
          await successor.apply(at(world, side, end, null));
          await successor.letGo();
          assert.equal(await world.look(), before, `${side} ${stage} ${end}`);
        }
      }
    }
  });

  test("a dry run says what is done, and does nothing", async (world) => {
    const before = await world.look();
    const means = world.make();
    for (const side of ["old", "new"] as const) {
      const told = means.commands(at(world, side, "redirecting", "prepared"));
      assert.notDeepEqual(told, [], side);
    }
    assert.equal(await world.look(), before);
    await means.letGo();
  });
}
