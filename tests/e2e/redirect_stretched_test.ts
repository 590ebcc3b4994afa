import assert from "node:assert/strict";
import { startFrameCapture } from "../../src/testing/frame_capture/capture.ts";
import { connect, createNamespace, plug } from "../../src/testing/netns.ts";
import { LAN, MAC, TRUNK } from "../../src/testing/redirect_layout.ts";
import { MACHINE, RedirectWorld, type SiteName } from "../../src/testing/redirect_world.ts";
import { requires } from "../../src/testing/requirements.ts";

const MOVE_MS_MAX = 60_000;
const DRAIN = { idleMs: 1_000, limitMs: 60_000 };
const ROUNDS = 3;

Deno.test({
  name: "on a stretched network the switches learn the machine's new place once it runs there",
  ...await requires("namespaces", "tun", "nftables"),
  async fn() {
    await using world = await RedirectWorld.start("metro", "stretched");
    const a = world.site("a");
    await using neighbour = await createNamespace("neighbour");
    await connect(
      { namespace: neighbour, name: "eth0" },
      { namespace: a.namespace, name: "neighbour" },
    );
    await plug(a.namespace, "neighbour", LAN);
    const host = await world.stand(DRAIN);
    await world.place(host, "a");
    await world.answers();
    const heard = await startFrameCapture(neighbour);
    const id = await world.move("a");
    await a.api.until(id, ({ state }) => state === "completed", MOVE_MS_MAX);
    const timeOf = async (at: SiteName, state: string, event: string) => {
      const { history } = await world.untilRedirect(at, id, state);
      return Date.parse(history.find(({ kind }) => kind === event)!.at);
    };
    const ownedMs = await timeOf("b", "retired", "arrived");
    const switchedMs = await timeOf("a", "retired", "switched");
    // Before the switch the source may say what everybody knows.
    const frames = (await heard.finish()).filter(({ atWallMs }) => atWallMs >= switchedMs);
    for (const ip of Object.values(MACHINE)) {
      const own = frames.filter((frame) => frame.ip === ip && frame.mac === MAC);
      assert.equal(own.length, ROUNDS, `${ip}: ${JSON.stringify(frames)}`);
      assert.ok(own[0].atWallMs >= ownedMs, `${ownedMs - own[0].atWallMs} ms before it ran there`);
    }
    assert.match(
      await a.namespace.run("bridge", "fdb", "show", "br", LAN),
      new RegExp(`^${MAC} dev ${TRUNK} `, "m"),
      "the switch at a has it where it was",
    );
    await world.place(host, "b");
    await world.answers();
  },
});
