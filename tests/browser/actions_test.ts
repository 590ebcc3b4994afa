import assert from "node:assert/strict";
import { createApp } from "../../src/http/app.ts";
import {
  fakeService,
  sampleGuest,
  sampleQuestion,
  sampleReport,
} from "../../src/http/testing/fake_service.ts";
import { oneToken } from "../../src/http/testing/one_token.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import type { MigrationReport } from "../../src/migration/report.ts";
import type { RedirectView } from "../../src/redirect/view.ts";
import { requires } from "../../src/testing/requirements.ts";
import { Browser } from "./browser.ts";

const TOKEN = "a-token-of-the-site";
/** Would change the title, were it ever taken for markup. */
const HOSTILE =
  `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

/** A machine that cannot be reached where it went. */
const REDIRECT: RedirectView = {
  guest: "web",
  migration: "done",
  side: "old",
  peer: "east",
  state: "draining",
  settled: true,
  since: "2026-01-02T03:04:06.000Z",
  means: ["tunnel", "announce"],
  problem: HOSTILE,
  addresses: [{
    ...{ ip: "192.0.2.10", mac: null, subnet: null, gateway: null, name: HOSTILE, site: "east" },
    traffic: {
      toMachinePackets: 3,
      toMachineBytes: 300,
      fromMachinePackets: 2,
      fromMachineBytes: 200,
    },
  }],
  reach: { reached: false, blackoutMs: null, missing: ["192.0.2.10"] },
  question: { askedAt: "2026-01-02T03:04:06.000Z", text: HOSTILE },
  kept: { packets: 4, bytes: 400, droppedPackets: 1 },
  history: [{ at: "2026-01-02T03:04:06.000Z", kind: "draining", detail: HOSTILE }],
};

/** The API on a free port, over a gateway that only remembers what it was asked. */
function serve(reports: MigrationReport[]) {
  const find = (id: string) => reports.find((report) => report.id === id)!;
  const asked: unknown[][] = [];
  const acted = (name: string) => (id: string, ...rest: unknown[]) => {
    asked.push([name, id, ...rest]);
    return Promise.resolve(find(id));
  };
  const actions = Object.fromEntries(
    ["answer", "hold", "change", "switchover", "adjudicate", "rollback"]
      .map((name) => [name, acted(name)]),
  );
  const { service } = fakeService({
    migrations: () => reports,
    migration: find,
    guests: () => Promise.resolve([sampleGuest("web")]),
    redirects: () => Promise.resolve([REDIRECT]),
    answerRedirect: (id, answer) => {
      asked.push(["answerRedirect", id, answer]);
      return Promise.resolve();
    },
    ...actions,
  });
  const app = createApp({
    service,
    authorized: oneToken(TOKEN),
    clock: systemClock(),
    log: () => {},
    processFigures: () => ({ residentBytes: 1, heapBytes: 1, cpuSeconds: 1, startedAtSeconds: 1 }),
    profiles: () => Promise.resolve([]),
  });
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => app.fetch(request),
  );
  return { asked, server, url: `http://127.0.0.1:${server.addr.port}/` };
}

Deno.test(
  "every action asks the API for what its fields say, and no text of the API becomes markup",
  await requires("chromium"),
  async () => {
    const { asked, server, url } = serve([
      sampleReport({
        id: "copying",
        guest: "db",
        phase: HOSTILE,
        question: sampleQuestion({ text: HOSTILE }),
        // More than fit their place.
        decisions: Array.from({ length: 40 }, () => ({
          at: "2026-01-02T03:04:06.000Z",
          action: HOSTILE,
          reason: HOSTILE,
          numbers: { goodputBytesPerSecond: 1, lossRatio: null },
        })),
      }),
      sampleReport({ id: "doubt", state: "inDoubt" }),
      sampleReport({ id: "done", state: "completed", owner: "east", downtimeMs: 120 }),
    ]);
    const browser = await Browser.start();
    try {
      const { page } = browser;
      const press = (name: string) => page.getByRole("button", { name, exact: true }).click();
      /** Clicks, and waits for the API's answer to a path that ends like this. */
      const asks = async (ending: string, click: Promise<void>) => {
        const [answer] = await Promise.all([
          page.waitForResponse((each) =>
            each.url().endsWith(ending) && each.request().method() !== "GET"
          ),
          click,
        ]);
        assert.ok(answer.ok(), `${ending}: ${answer.status()}`);
      };
      const confirm = (name: string) =>
        page.getByRole("dialog").getByRole("button", { name }).click();
      await page.goto(url);
      await page.getByLabel("Token").fill(TOKEN);
      await page.keyboard.press("Enter");
      await page.getByText("192.0.2.10 (").waitFor();
      await browser.assertAccessible("addresses");
      await browser.assertFitsPhone("addresses");
      await asks("/done/answer", press("Bring it back"));

      await page.goto(`${url}#/moves/copying`);
      await page.getByRole("heading", { name: "A question" }).waitFor();
      await browser.assertAccessible("a question");
      await browser.assertFitsPhone("a question");
      await asks("/answer", press("Refuse"));
      await page.getByRole("spinbutton", { name: /^Longest pause, ms \(/ }).fill("700");
      await asks("/answer", press("Allow"));
      await asks("/hold", press("Hold"));
      await page.getByLabel("Cap, MB/s").fill("2.5");
      await asks("/copying", press("Change"));
      await press("Switch over");
      await asks("/switchover", confirm("Switch over"));

      await page.goto(`${url}#/moves/doubt`);
      await press("Adjudicate");
      await page.getByLabel("Site that may run it").selectOption("west");
      await page.getByLabel("Reason").fill("power is off there");
      await browser.assertAccessible("adjudication");
      await asks("/adjudicate", confirm("Decide"));

      await page.goto(`${url}#/moves/done`);
      await press("Roll back");
      await page.getByRole("dialog").waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      await press("Roll back");
      await asks("/rollback", confirm("Roll back"));

      assert.deepEqual(asked, [
        ["answerRedirect", "done", { keep: false, by: "operator" }],
        ["answer", "copying", { accept: false }],
        ["answer", "copying", { accept: true, maxDowntimeMs: 700 }],
        ["hold", "copying"],
        ["change", "copying", { rate: 2_500_000 }],
        ["switchover", "copying"],
        [
          "adjudicate",
          "doubt",
          { owner: "west", reason: "power is off there", force: false, by: "API token" },
        ],
        ["rollback", "done"],
      ]);
      assert.doesNotMatch(await page.title(), /owned/);
      assert.deepEqual(browser.errors, []);
    } finally {
      await browser[Symbol.asyncDispose]();
      await server.shutdown();
    }
  },
);
