import type { Request } from "playwright-core";
import { expect } from "vitest";
import { addressOf, PATIENCE_MS, test } from "../helpers/browser.ts";
import { CuttingProxy } from "../helpers/cutting-proxy.ts";

const isLong = process.env["THAW_LONG"] === "1";

test("a frozen guest is said to be, and all goes on within a second of its return", async ({
  agent,
  browser,
}) => {
  const pending = new Set<Request>();
  browser.context.on("request", (request) => pending.add(request));
  browser.context.on("requestfinished", (request) => pending.delete(request));
  browser.context.on("requestfailed", (request) => pending.delete(request));
  const web = await browser.open(addressOf(agent));
  await web.prompt();
  await web.press("Files");
  await web.press("Status");
  await web.focus();
  await web.run("for i in $(seq 2000); do echo tick $i; sleep 0.05; done");
  await web.shows(/tick 20\s/);
  process.kill(agent.child.pid ?? 0, "SIGSTOP");
  await web.says(/frozen, waiting/);
  await web.page.waitForTimeout(isLong ? 20_000 : 4_000);
  await web.page.keyboard.press("Control+C");
  await web.page.keyboard.type("echo typed while frozen");
  await web.page.keyboard.press("Enter");
  await web.page.locator("#notice").getByText("The machine is frozen").waitFor();
  // What hangs would leave no connection to notice its return by.
  const paths = [...pending].map((request) => new URL(request.url()).pathname);
  expect(paths.filter((path) => path !== "/health")).toEqual([]);
  const began = performance.now();
  process.kill(agent.child.pid ?? 0, "SIGCONT");
  await web.says(/connected/);
  const noticedMs = performance.now() - began;
  await web.shows(/^typed while frozen/m);
  const wentOnMs = performance.now() - began;

  console.log(`noticed after ${noticedMs.toFixed(0)} ms, went on after ${wentOnMs.toFixed(0)} ms`);
  expect(wentOnMs).toBeLessThan(isLong ? 1_000 : 8_000);
  const ticks = [...(await web.screen()).matchAll(/^tick (\d+)/gm)].map(([, count]) =>
    Number(count),
  );
  expect(ticks.length).toBeGreaterThan(0);
  expect(ticks).toEqual(ticks.map((_, at) => (ticks[0] ?? 0) + at));
});

test("a page that was offline goes on where it was, with what was typed meanwhile", async ({
  agent,
  browser,
}) => {
  const web = await browser.open(addressOf(agent));
  await web.prompt();
  await web.run("(sleep 2; echo while offline) &");
  await web.shows(/\[1\] \d+/);
  await browser.context.setOffline(true);
  await web.says(/waiting/);
  await web.page.keyboard.type("echo typed offline");
  await web.page.keyboard.press("Enter");
  await web.page.waitForTimeout(2_000);
  await browser.context.setOffline(false);

  await web.says(/connected/);
  await web.shows(/^typed offline/m);
  await web.shows(/while offline/);
  expect((await web.screen()).match(/^typed offline/gm)?.length).toBe(1);
});

test.for(["reset", "drop", "half-close"] as const)(
  "keys arrive once, however often the connections are cut by %s",
  async (how, { agent, browser }) => {
    await using proxy = await CuttingProxy.start(Number(new URL(agent.url).port));
    const web = await browser.open(addressOf(agent).replace(agent.url, proxy.url));
    await web.prompt();
    const text = Array.from({ length: 30 }, (_, at) => `word${at}`).join("-");
    await web.page.keyboard.type("echo ");
    for (const [at, letter] of text.split("").entries()) {
      if (at % 40 === 20) proxy.cut(how);
      await web.page.keyboard.type(letter);
    }
    await web.page.keyboard.type(" | rev");
    await web.page.keyboard.press("Enter");

    const reversed = text.split("").toReversed().join("");
    await expect
      .poll(async () => (await web.screen()).replaceAll(/\s/g, ""), { timeout: 60_000 })
      .toContain(reversed);
  },
);

test("a window that changed its size meanwhile tells the terminal", async ({ agent, web }) => {
  process.kill(agent.child.pid ?? 0, "SIGSTOP");
  await web.says(/frozen, waiting/);
  await web.page.setViewportSize({ width: 700, height: 400 });
  const rows = web.page.locator(".view:not([hidden]) .xterm-rows > div");
  await expect.poll(() => rows.count(), { timeout: PATIENCE_MS }).toBeLessThan(25);
  process.kill(agent.child.pid ?? 0, "SIGCONT");
  await web.says(/connected/);
  const fits = `${await rows.count()} `;
  const told = async () => {
    await web.run("clear; stty size");
    await web.shows(/^\d+ \d+\s+\S*[$#]/m);
    return await web.screen();
  };

  await expect.poll(told, { timeout: PATIENCE_MS }).toMatch(new RegExp(`^${fits}`, "m"));
});

test("an answer of something on the way is none of the guest's", async ({ browser, web }) => {
  await web.page.route("**/health", (route) => route.fulfill({ status: 502, body: "Bad Gateway" }));
  await web.says(/unreachable, waiting/);
  await web.page.unroute("**/health");

  await web.says(/connected/);
  expect(new Set(browser.complaints.splice(0))).toEqual(
    new Set(["Failed to load resource: the server responded with a status of 502 (Bad Gateway)"]),
  );
});

test("a page that is opened while its guest is cut off shows its terminals later", async ({
  browser,
  web,
}) => {
  await web.run("echo of before");
  await web.shows(/^of before/m);
  let cuts = 0;
  await web.page.route("**/process.Process/List", async (route) => {
    if (++cuts <= 2) await route.abort("connectionreset");
    else await route.continue();
  });
  await web.page.reload();

  await web.shows(/^of before/m);
  expect(browser.complaints.splice(0).join()).toContain("net::ERR_CONNECTION_RESET");
});
