import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { guestDefinition } from "../guest/definition.ts";
import type { Guest } from "../guest/guest.ts";
import { attachAllowed, NO_RULES, realPath, requireImagePath } from "./site_rules.ts";

async function inDirectory(body: (directory: string) => Promise<void>) {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  try {
    await body(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const notAllowed = (error: unknown) =>
  error instanceof GatewayError && error.code === "guest_not_allowed";

Deno.test("realPath() follows links to where they lead, whether anything is there or not", () =>
  inDirectory(async (directory) => {
    await Deno.mkdir(`${directory}/in/deep`, { recursive: true });
    await Deno.mkdir(`${directory}/out`);
    await Deno.symlink("../out", `${directory}/in/away`);
    await Deno.symlink("../out/later", `${directory}/in/later`);
    await Deno.symlink("loop", `${directory}/in/loop`);
    const cases = [
      ["in/deep", "in/deep"],
      ["in/deep/new/file", "in/deep/new/file"],
      ["in/away/new", "out/new"],
      ["in/later", "out/later"],
      ["in/later/below", "out/later/below"],
    ];
    for (const [path, expected] of cases) {
      assert.equal(await realPath(`${directory}/${path}`), `${directory}/${expected}`, path);
    }
    await assert.rejects(realPath(`${directory}/in/loop`));
    const allow = { ...NO_RULES.allow, paths: [`${directory}/in`] };
    await requireImagePath(`${directory}/in/deep/disk`, allow, "/state");
    await requireImagePath("/state/disk", allow, "/state");
    for (const path of ["in/away/disk", "in/later", "out/disk"]) {
      await assert.rejects(requireImagePath(`${directory}/${path}`, allow, "/state"), notAllowed);
    }
  }));

Deno.test("the rules of the moment hold for machines that are started, not for those found again", async () => {
  const definition = guestDefinition.parse({ kind: "reference", memoryMiB: 1 });
  let launch: [] | null = null;
  const attached: boolean[] = [];
  const attach = attachAllowed(
    ({ launch }) => {
      attached.push(launch);
      return Promise.resolve({} as Guest);
    },
    () => ({ ...NO_RULES, allow: { ...NO_RULES.allow, launch } }),
  );
  await attach({ id: "g", definition, launch: true });
  launch = [];
  await assert.rejects(attach({ id: "g", definition, launch: true }), notAllowed);
  await attach({ id: "g", definition, launch: false });
  assert.deepEqual(attached, [true, false]);
});
