import assert from "node:assert/strict";
import { createNamespace, listNamespaces } from "../../src/testing/netns.ts";
import { requires } from "../../src/testing/requirements.ts";
import { newRunToken, registerRun, removeLeftovers, RUN_TOKEN_VARIABLE } from "./leftovers.ts";

function startSleep(runToken: string): Deno.ChildProcess {
  return new Deno.Command("sleep", { args: ["60"], env: { [RUN_TOKEN_VARIABLE]: runToken } })
    .spawn();
}

Deno.test("removeLeftovers() ends the processes of its run and no others", async () => {
  const [mine, other] = [newRunToken(), newRunToken()];
  const left = startSleep(mine);
  const kept = startSleep(other);

  assert.deepEqual(await removeLeftovers(mine), [`process ${left.pid} (sleep)`]);
  assert.equal((await left.status).signal, "SIGKILL");
  assert.deepEqual(await removeLeftovers(mine), []);

  // Still there, or this would throw.
  kept.kill("SIGTERM");
  assert.equal((await kept.status).signal, "SIGTERM");
});

Deno.test("registerRun() cleans up after a run that was killed", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const killedRun = newRunToken();
    const left = startSleep(killedRun);
    // Above the kernel's limit for process ids: nobody has it.
    await Deno.writeTextFile(`${folder}/${killedRun}`, "4194305");
    const liveRun = newRunToken();
    await Deno.writeTextFile(`${folder}/${liveRun}`, String(Deno.pid));
    const thisRun = newRunToken();

    assert.deepEqual(await registerRun(folder, thisRun), [`process ${left.pid} (sleep)`]);
    await left.status;
    const remaining = [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
    assert.deepEqual(remaining, [liveRun, thisRun].sort());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test(
  "removeLeftovers() removes the namespaces of its run",
  await requires("namespaces"),
  async () => {
    await using kept = await createNamespace("kept");
    const runToken = newRunToken();
    const name = `cw-${runToken}-left`;
    await new Deno.Command("ip", { args: ["netns", "add", name] }).output();
    assert.ok((await listNamespaces()).includes(name));

    assert.deepEqual(await removeLeftovers(runToken), [`namespace ${name}`]);

    const remaining = await listNamespaces();
    assert.ok(!remaining.includes(name) && remaining.includes(kept.name));
  },
);
