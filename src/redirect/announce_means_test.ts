import assert from "node:assert/strict";
import { redirectSettings } from "../guest/addresses.ts";
import { AnnounceMeans, announcementsOf } from "./announce_means.ts";
import type { HostCommands } from "./host_commands.ts";
import type { Target } from "./means.ts";
import type { RedirectSide, Stage } from "./state.ts";

const HOST = "02:00:00:00:00:01";
const MACHINE = "52:54:00:00:00:05";
const TUNNEL = { kind: "tunnel" };
const ANNOUNCE = { kind: "announce", rounds: 3, intervalMs: 50 };

function target(
  side: RedirectSide,
  stage: Stage,
  previous: Stage | null = null,
  { isHome = false, means = [TUNNEL, ANNOUNCE] as unknown[] } = {},
): Target {
  return {
    migration: "m",
    guest: "web",
    side,
    peer: "b",
    site: "a",
    stage,
    previous,
    isHome,
    addresses: [
      { ip: "10.1.0.5", mac: MACHINE.toUpperCase(), gateway: "10.1.0.1" },
      { ip: "fd01::5" },
    ],
    settings: redirectSettings.parse({ device: "br0", means }),
  };
}
const said = (of: Target) =>
  announcementsOf(of, HOST).map(({ ip, mac, to }) => `${ip} ${mac} ${to}`);

Deno.test("the old site answers for carried addresses from the switch on, and gives them back", () => {
  const away = [`10.1.0.5 ${HOST} null`, `fd01::5 ${HOST} null`];
  assert.deepEqual(said(target("old", "prepared", "bound")), []);
  assert.deepEqual(said(target("old", "redirecting", "prepared")), away);
  assert.deepEqual(said(target("old", "draining", "redirecting")), away);
  // A machine without a known MAC announces itself alone.
  const back = [`10.1.0.5 ${MACHINE} null`];
  assert.deepEqual(said(target("old", "prepared", "redirecting")), back);
  assert.deepEqual(said(target("old", "bound", "redirecting")), back);
  assert.deepEqual(said(target("old", "bound")), back);
  assert.deepEqual(said(target("old", "bound", "prepared")), []);
});

Deno.test("the new site announces the machine only once it runs there", () => {
  const router = `10.1.0.1 ${HOST} ${MACHINE}`;
  assert.deepEqual(said(target("new", "prepared")), []);
  assert.deepEqual(said(target("new", "redirecting")), [router]);
  assert.deepEqual(said(target("new", "draining")), [`10.1.0.5 ${MACHINE} null`, router]);
  assert.deepEqual(said(target("new", "draining", null, { isHome: true })), [
    `10.1.0.5 ${MACHINE} null`,
  ]);
  assert.deepEqual(said(target("new", "bound")), []);
});

Deno.test("on a network that both sites share nobody answers for anybody else", () => {
  const means = [ANNOUNCE];
  assert.deepEqual(said(target("old", "redirecting", "prepared", { means })), []);
  assert.deepEqual(said(target("new", "draining", null, { means })), [`10.1.0.5 ${MACHINE} null`]);
});

Deno.test("announcements go at once and again, and a new stage ends those of the one before", async () => {
  const frames: string[] = [];
  let closed = 0;
  const waiting: (() => void)[] = [];
  const means = new AnnounceMeans(
    { kind: "announce", rounds: 3, intervalMs: 50 },
    {
      sleep: (_ms, signal) =>
        new Promise((resolve, reject) => {
          waiting.push(resolve);
          signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
        }),
    },
    {
      startSender: () =>
        Promise.resolve({
          sendFrame: (_device: number, frame: Uint8Array) => {
            frames.push(frame.subarray(6, 12).toHex());
          },
          close: () => Promise.resolve(void closed++),
        }),
      host: {
        deviceOf: (name: string) =>
          Promise.resolve(name === "br0" ? { index: 4, mac: HOST } : null),
      } as Pick<HostCommands, "deviceOf">,
    },
  );
  await means.apply(target("old", "prepared", "bound"));
  await means.apply(target("old", "redirecting", "prepared"));
  assert.deepEqual(frames, ["020000000001", "020000000001"]);
  await means.apply(target("old", "bound", "redirecting"));
  assert.deepEqual(frames.slice(2), ["525400000005"]);
  for (let n = 0; n < 10; n++) {
    waiting.splice(0).forEach((resolve) => resolve());
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(frames.slice(2), Array(3).fill("525400000005"));
  assert.equal(closed, 1);
  await means.letGo();
});
