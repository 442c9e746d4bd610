import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "playwright-core";
import { describe, expect } from "vitest";
import { addressOf, PATIENCE_MS, TestBrowser, test } from "../helpers/browser.ts";

test("the printed address shows a shell prompt, within a second on a machine at rest", async ({
  agent,
  browser,
}) => {
  await (await browser.open(`${agent.url}/web/none`)).page.close();
  browser.complaints.length = 0;
  const began = performance.now();
  const web = await browser.open(addressOf(agent));
  await web.prompt();
  const tookMs = performance.now() - began;

  expect(tookMs).toBeLessThan(process.env["THAW_LONG"] === "1" ? 1_000 : 15_000);
  expect(await web.page.evaluate(() => location.hash)).toBe("");
});

test("what is typed arrives in order, and its output shows", async ({ web }) => {
  const words = Array.from({ length: 40 }, (_, at) => `w${at}`).join("");
  await web.run(`echo "<${words}>" | rev`);

  const reversed = `<${words}>`.split("").toReversed().join("");
  await expect
    .poll(async () => (await web.screen()).replaceAll(/\s/g, ""), { timeout: PATIENCE_MS })
    .toContain(reversed);
});

describe.for(["dark", "light"] as const)("in the %s", (colorScheme) => {
  test("nothing stands in the way of those who cannot see it all", async ({ agent }) => {
    await using browser = await TestBrowser.start({ colorScheme });
    const web = await browser.open(addressOf(agent));
    await web.prompt();
    const shown = await web.page.evaluate(() => document.documentElement.dataset["theme"]);
    await web.press("Files");
    await web.press("Status");
    await web.page.getByRole("button", { name: "etc, directory" }).waitFor();
    await web.page.getByText("Last restore").waitFor();
    const withPanels = await violations(web.page);
    await web.press("Search the terminal");
    const withSearch = await violations(web.page);
    await web.page.keyboard.press("Escape");
    await web.press("Keys");
    const withDialog = await violations(web.page);

    expect(shown).toBe(colorScheme);
    expect([withPanels, withSearch, withDialog]).toEqual([[], [], []]);
  });
});

test("the other colours are chosen by a button, and kept", async ({ web }) => {
  const theme = () => web.page.evaluate(() => document.documentElement.dataset["theme"]);
  const before = await theme();

  await web.press("Dark or light");
  const after = await theme();
  await web.page.reload();
  await web.prompt();

  expect(after).not.toBe(before);
  expect(await theme()).toBe(after);
});

test("all is reached by the keyboard alone", async ({ web }) => {
  const { keyboard } = web.page;
  const focused = () =>
    web.page.evaluate(
      () =>
        document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.role ?? "",
    );
  const tabTo = async (name: string) => {
    for (let steps = 0; steps < 40 && (await focused()) !== name; steps++) {
      await keyboard.press("Tab");
    }
    expect(await focused()).toBe(name);
  };

  await keyboard.press("Control+F6");
  await tabTo("New terminal");
  await keyboard.press("Enter");
  await web.prompt();
  await web.run("cd /; echo second");
  await web.shows(/^second/m);
  await keyboard.press("Control+Shift+ArrowLeft");
  expect(await web.page.getByRole("tab", { selected: true }).count()).toBe(1);
  expect(await web.screen()).not.toMatch(/second/);
  await keyboard.press("Control+F6");
  await tabTo("Files");
  await keyboard.press("Enter");
  await web.page.getByRole("button", { name: "etc, directory" }).waitFor();
  await tabTo("Parent directory");
  await keyboard.press("Control+Shift+F");
});

test.for([
  [360, 640],
  [1280, 800],
  [3840, 2160],
] as const)("it fits a screen of %d x %d", async ([width, height], { agent, browser }) => {
  const web = await browser.open(addressOf(agent));
  await web.page.setViewportSize({ width, height });
  await web.prompt();
  await web.press("Files");
  await web.page.getByRole("button", { name: "etc, directory" }).waitFor();

  const overflow = await web.page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    const outside = [...document.querySelectorAll("button, input")]
      .map((one) => one.getBoundingClientRect())
      .filter(({ width, left, right }) => width > 0 && (left < -1 || right > innerWidth + 1));
    return { scrolls: scrollWidth > clientWidth, outside: outside.length };
  });

  expect(overflow).toEqual({ scrolls: false, outside: 0 });
});

async function violations(page: Page): Promise<string[]> {
  const { violations: found } = await new AxeBuilder({ page }).analyze();
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

test("a page that nobody looks at asks for nothing, and then goes on where it was", async ({
  browser,
  web,
}) => {
  await web.press("Status");
  await web.page.getByText("Last restore").waitFor();
  await web.focus();
  await web.run("(sleep 1; echo late) &");
  await web.shows(/\[1\] \d+/);
  // A headless browser shows all its pages at once.
  const hide = (isHidden: boolean) =>
    web.page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }, isHidden);
  await hide(true);
  await web.page.waitForTimeout(500);
  const before = browser.addresses.length;
  await web.page.waitForTimeout(2_500);
  const meanwhile = browser.addresses.slice(before);
  await hide(false);

  await web.shows(/late\s*$/);
  expect(meanwhile).toEqual([]);
});

test("a page that is opened out of sight begins when it is seen", async ({ agent, browser }) => {
  await browser.context.addInitScript(() => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
  });
  const web = await browser.open(addressOf(agent));
  await web.page.waitForLoadState("networkidle");
  const before = browser.addresses.map((address) => new URL(address).pathname);
  await web.page.evaluate(() => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => false });
    document.dispatchEvent(new Event("visibilitychange"));
  });

  await web.prompt();
  expect(before.filter((path) => path !== "/" && !path.startsWith("/web/"))).toEqual([]);
});

test("on a small screen one panel shows at a time", async ({ web }) => {
  await web.page.setViewportSize({ width: 380, height: 700 });
  const shown = async () => [
    await web.page.locator("#files").isVisible(),
    await web.page.locator("#status").isVisible(),
  ];
  await web.press("Status");
  const status = await shown();
  await web.press("Files");
  const files = await shown();
  await web.press("Files");

  expect(status).toEqual([false, true]);
  expect(files).toEqual([true, false]);
  expect(await shown()).toEqual([false, false]);
});

test("on a small screen the bar keeps its height, whatever it says", async ({ browser, web }) => {
  await web.page.setViewportSize({ width: 380, height: 700 });
  const height = () =>
    web.page.evaluate(() => document.querySelector("#bar")?.getBoundingClientRect().height);
  const before = await height();
  await web.page.route("**/health", (route) => route.abort());
  await web.says(/unreachable, waiting/);

  // Every terminal would change its size.
  expect(await height()).toBe(before);
  expect(browser.complaints.splice(0).join()).toContain("net::ERR_FAILED");
});
