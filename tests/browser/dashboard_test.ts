import assert from "node:assert/strict";
import { RealSites } from "../../src/testing/real_sites.ts";
import { requires } from "../../src/testing/requirements.ts";
import { Browser } from "./browser.ts";

/** Small and calm: what is tested is what is shown of a move, on a machine that may be busy. */
const MACHINE = {
  kind: "reference",
  memoryMiB: 12,
  disks: [{ sizeMiB: 6 }],
  workload: {
    ...{ seed: 7, hotMiB: 1, memoryBytesPerSecond: 100_000, diskBytesPerSecond: 20_000 },
    ...{ textRatio: 0.2, randomRatio: 0.05 },
  },
};
/** Alone on two cores it takes 5 s. */
const MOVE_MS_MAX = 120_000;

async function register(sites: RealSites, id: string): Promise<void> {
  await Promise.all([
    sites.a.api.call("PUT", `/guests/${id}`, { ...MACHINE, role: "source" }),
    sites.b.api.call("PUT", `/guests/${id}`, { ...MACHINE, role: "incoming" }),
  ]);
}

Deno.test(
  "an operator logs in, watches a planned move to its end and cancels another, in a real browser",
  await requires("chromium"),
  async (t) => {
    await using sites = await RealSites.start("transatlantic");
    const [browser] = await Promise.all([
      Browser.start(),
      register(sites, "web"),
      register(sites, "db"),
    ]);
    await using _browser = browser;
    const { page } = browser;
    const { token, url } = sites.a.api;

    await t.step("a wrong token is refused in words", async () => {
      await page.goto(url);
      await page.getByLabel("Token of this gateway's API").fill("wrong");
      await page.keyboard.press("Enter");
      await page.getByRole("alert").waitFor();
      await browser.assertAccessible("log-in");
      await browser.assertFitsPhone("log-in");
      // The browser itself notes refused requests.
      assert.equal(browser.errors.length, 1, browser.errors.join("\n"));
      assert.match(browser.errors.splice(0)[0], /401/);
    });

    await t.step("machines and the measured path are shown", async () => {
      await page.getByLabel("Token of this gateway's API").fill(token);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "web" }).waitFor();
      await page.getByRole("heading", { name: "b", exact: true }).waitFor();
      await browser.assertAccessible("overview");
      await browser.assertFitsPhone("overview");
    });

    await t.step("a move is planned and started by keyboard, and watched to its end", async () => {
      await page.getByRole("button", { name: "Move web" }).focus();
      await page.keyboard.press("Enter");
      await page.getByLabel("Longest pause").fill("5000");
      await page.keyboard.press("Enter");
      const start = page.getByRole("button", { name: "Start the move" });
      await start.waitFor();
      await browser.assertAccessible("plan");
      await browser.screenshot("plan");
      await browser.assertFitsPhone("plan");
      await start.focus();
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "web: a to b" }).waitFor();
      await page.getByText("Throughput").first().waitFor();
      await page.getByText(/^completed: /).waitFor({ timeout: MOVE_MS_MAX });
      await page.getByText("running at b").waitFor();
      await browser.screenshot("move", "dark");
      await page.getByText("Report", { exact: true }).click();
      await browser.assertAccessible("move");
      await browser.assertFitsPhone("move");
    });

    await t.step("a move that is held is cancelled, and the machine runs on here", async () => {
      const { id } = await sites.a.api.call<{ id: string }>("POST", "/migrations", {
        guest: "db",
        to: "b",
        hold: true,
      });
      await page.getByRole("link", { name: "All moves" }).click();
      await page.getByRole("link", { name: "db: a to b" }).click();
      await page.getByText("Throughput").first().waitFor();
      await page.getByRole("button", { name: "Cancel" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Cancel the move" }).click();
      await page.getByText(/^cancelled: /).waitFor();
      await page.getByText("running at a").waitFor();
      assert.equal((await sites.a.api.migration(id)).state, "cancelled");
    });

    await t.step("who may only look is offered nothing else, until the token ends", async () => {
      const reader = await sites.a.api.call<{ id: string; token: string }>("POST", "/tokens", {
        name: "reader",
        role: "read",
      });
      await page.getByRole("button", { name: "Log out" }).click();
      await page.getByLabel("Token of this gateway's API").fill(reader.token);
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Roll back" }).waitFor({ state: "detached" });
      await page.getByText("role read").waitFor();
      assert.equal(await page.getByRole("button", { name: /Cancel|Hold|Roll back/ }).count(), 0);
      await sites.a.api.call("DELETE", `/tokens/${reader.id}`);
      await page.getByLabel("Token of this gateway's API").waitFor();
      await page.getByRole("alert").waitFor();
      browser.errors.splice(
        0,
        browser.errors.length,
        ...browser.errors.filter((text) => !/401/.test(text)),
      );
    });

    assert.deepEqual(browser.errors, []);
    assert.ok(browser.urls.some((each) => each.endsWith("/events")), "reports are streamed");
    assert.deepEqual(browser.urls.filter((each) => each.includes(token)), [], "no token in a URL");
    assert.deepEqual(
      browser.urls.filter((each) => !each.startsWith(url) && !each.startsWith("blob:")),
      [],
    );
  },
);
