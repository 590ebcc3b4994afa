import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { CHROMIUM } from "../../src/testing/requirements.ts";

const WAIT_MS = 30_000;
export const DESKTOP = { width: 1200, height: 900 };
/** A small phone of today. */
export const PHONE = { width: 360, height: 740 };
const axePath = createRequire(import.meta.url).resolve("axe-core");

/** Debian's Chromium with a page, and everything that went wrong in it. */
export class Browser implements AsyncDisposable {
  /** Errors of the console, uncaught ones, violations of the policy. */
  readonly errors: string[] = [];
  readonly urls: string[] = [];

  private constructor(
    private readonly context: BrowserContext,
    readonly page: Page,
    private readonly close: () => Promise<void>,
  ) {}

  static async start(): Promise<Browser> {
    const launched = await chromium.launch({
      executablePath: CHROMIUM,
      // The tests run as root, for whom there is no sandbox; containers have little shared memory.
      args: ["--no-sandbox", "--disable-dev-shm-usage"],
    });
    const context = await launched.newContext({ viewport: DESKTOP, reducedMotion: "reduce" });
    context.setDefaultTimeout(WAIT_MS);
    await context.addInitScript({ path: axePath });
    const page = await context.newPage();
    const browser = new Browser(context, page, () => launched.close());
    page.on("console", (message) => {
      if (message.type() === "error") browser.errors.push(message.text());
    });
    page.on("pageerror", (error) => browser.errors.push(String(error)));
    page.on("request", (request) => browser.urls.push(request.url()));
    return browser;
  }

  /** Everything that axe-core calls serious or worse, on the page as it is now, light and dark. */
  async assertAccessible(what: string): Promise<void> {
    for (const colorScheme of ["light", "dark"] as const) {
      await this.page.emulateMedia({ colorScheme });
      const found = await this.page.evaluate(async () => {
        // @ts-ignore: it runs in the page, where the init script has defined it
        const { violations } = await axe.run();
        return violations
          .filter(({ impact }: { impact: string }) => ["serious", "critical"].includes(impact))
          .map(({ id, nodes }: { id: string; nodes: { html: string; failureSummary: string }[] }) =>
            `${id}: ${
              nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")
            }`
          ) as string[];
      });
      assert.deepEqual(found, [], `${what}, ${colorScheme}`);
    }
    await this.page.emulateMedia({ colorScheme: "light" });
  }

  /** On a phone everything fits the width. */
  async assertFitsPhone(what: string): Promise<void> {
    await this.page.setViewportSize(PHONE);
    const [widthPx, widest] = await this.page.evaluate(() => {
      // @ts-ignore: it runs in the page
      const root = document.documentElement;
      const beyond = [...root.querySelectorAll("body *")]
        .filter((element) => element.getBoundingClientRect().right > root.clientWidth)
        .map(({ tagName, className, textContent }) =>
          `${tagName}.${className} ${textContent.slice(0, 40)}`
        );
      return [root.scrollWidth, beyond.join("\n")] as [number, string];
    });
    assert.ok(widthPx <= PHONE.width, `${what} is ${widthPx} px wide: ${widest}`);
    await this.screenshot(`${what}-phone`);
    await this.page.setViewportSize(DESKTOP);
  }

  /** Into the folder that the caller of the tests wants them in, or nowhere. */
  async screenshot(name: string, colorScheme: "light" | "dark" = "light"): Promise<void> {
    const folder = Deno.env.get("CAUSEWAY_SCREENSHOTS");
    if (folder === undefined) return;
    await this.page.emulateMedia({ colorScheme });
    const fullPage = this.page.viewportSize()!.width > PHONE.width;
    await this.page.screenshot({ path: `${folder}/dashboard-${name}.png`, fullPage });
    await this.page.emulateMedia({ colorScheme: "light" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close().catch(() => {});
    await this.close();
  }
}
