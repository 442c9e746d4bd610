import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { expect } from "vitest";
import { PATIENCE_MS, test, type WebTerminal } from "../helpers/browser.ts";
import { scratchDirectory } from "../helpers/scratch.ts";

/** Holds calls of `method` back until the result is called. */
async function hold(page: Page, method: string): Promise<() => void> {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await page.route(`**/process.Process/${method}`, async (route) => {
    await released;
    // The page may have given the call up meanwhile.
    await route.continue().catch(() => {});
  });
  return release;
}

/** Waits until a call of `method` is under way. */
const asked = (page: Page, method: string) =>
  page.waitForRequest(`**/process.Process/${method}`, { timeout: PATIENCE_MS });

/** How many programs the guest says that run. */
async function running(web: WebTerminal): Promise<number> {
  await web.press("Attach to a process");
  const choices = web.page.getByRole("dialog").getByRole("listitem");
  await choices.first().waitFor();
  const count = await choices.count();
  await web.page.keyboard.press("Escape");
  return count;
}

const tabNames = (web: WebTerminal) => web.page.getByRole("tab").allTextContents();

test("closing a tab asks, and ends its program when it shall", async ({ web }) => {
  await web.run("echo pid $$");
  await web.shows(/^pid \d+/m);
  await web.page.keyboard.press("Control+F6");
  await web.page.keyboard.press("Delete");
  await web.page.getByRole("dialog").getByRole("button", { name: "End it" }).click();

  await expect.poll(() => tabNames(web), { timeout: PATIENCE_MS }).toEqual(["shell 2"]);
  await web.prompt();
  expect(await running(web)).toBe(1);
});

test("closing a tab that does not show ends its program as well", async ({ web }) => {
  await web.press("New terminal");
  await web.prompt();
  await web.run("PS1='second$ '");
  await web.shows(/^second\$\s+$/m);
  await web.page.locator(".tab").first().locator(".icon").click();
  await web.page.getByRole("dialog").getByRole("button", { name: "End it" }).click();

  await expect.poll(() => web.page.getByRole("tab").count(), { timeout: PATIENCE_MS }).toBe(1);
  await web.shows(/^second\$\s+$/m);
  expect(await running(web)).toBe(1);
});

test("a tab that was closed twice closes once", async ({ web }) => {
  await web.press("New terminal");
  await web.prompt();
  const release = await hold(web.page, "SendSignal");
  const end = web.page.getByRole("dialog").getByRole("button", { name: "End it" });
  for (const _ of ["first", "second"]) {
    const asking = asked(web.page, "SendSignal");
    await web.page.locator(".tab").last().locator(".icon").click();
    await end.click();
    await asking;
  }
  release();

  await expect.poll(() => web.page.getByRole("tab").count(), { timeout: PATIENCE_MS }).toBe(1);
  await web.prompt();
  expect(await running(web)).toBe(1);
});

test("a tab that is left while its shell starts shows that shell later", async ({ agent, web }) => {
  process.kill(agent.child.pid ?? 0, "SIGSTOP");
  const starting = asked(web.page, "Start");
  await web.press("New terminal");
  await starting;
  await web.press("New terminal");
  process.kill(agent.child.pid ?? 0, "SIGCONT");
  await web.prompt();
  await web.page.getByRole("tab").nth(1).click();
  await web.prompt();

  expect(await running(web)).toBe(3);
});

test("keys that are typed before a tab is attached again arrive", async ({ web }) => {
  await web.press("New terminal");
  await web.prompt();
  const release = await hold(web.page, "Connect");
  const attaching = asked(web.page, "Connect");
  await web.page.getByRole("tab").first().click();
  await attaching;
  await web.run("echo typed early | rev");
  release();

  await web.shows(/^ylrae depyt/m);
});

test("what a tab that does not show has lost is said", async ({ web }) => {
  using scratch = scratchDirectory();
  const [go, done] = ["go", "done"].map((name) => join(scratch.path, name)) as [string, string];
  // Bytes that take no line of the terminal's.
  const flood = "head -c 20000000 /dev/zero";
  await web.run(`until [ -e ${go} ]; do sleep 0.1; done; ${flood}; touch ${done}`);
  await web.press("New terminal");
  await web.prompt();
  writeFileSync(go, "");
  await expect.poll(() => existsSync(done), { timeout: PATIENCE_MS }).toBe(true);
  await web.page.getByRole("tab").first().click();

  await web.shows(/\[[\d,]+ bytes were not kept\]/);
});

test("what programs and files are called is text and nothing else", async ({ web }) => {
  const name = "<img src=x onerror=document.title=1>";
  await web.run(`cd $(mktemp -d) && touch '${name}' && printf '\\e]2;${name}\\a'; read -r line`);
  await expect.poll(() => tabNames(web), { timeout: PATIENCE_MS }).toEqual([name]);
  await web.press("Attach to a process");
  await web.page.getByRole("dialog").getByRole("button").first().waitFor();
  await web.page.keyboard.press("Escape");
  await web.page.getByRole("tab").click();
  await web.page.keyboard.press("Enter");
  await web.run("pwd | sed s/^/in:/");
  await web.shows(/^in:\S+/m);
  const [, path = ""] = /^in:(\S+)/m.exec(await web.screen()) ?? [];
  await web.press("Files");
  for (const part of path.split("/").filter((one) => one !== "")) {
    await web.page.getByRole("button", { name: `${part}, directory`, exact: true }).click();
  }
  const names = web.page.locator("#files .entries .name");

  await expect.poll(() => names.allTextContents(), { timeout: PATIENCE_MS }).toEqual([name]);
  expect(await web.page.locator("img").count()).toBe(0);
});
