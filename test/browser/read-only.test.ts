import { expect } from "vitest";
import { test } from "../helpers/browser.ts";

test("a read-only link shows, and takes no key", async ({ agent, browser, web }) => {
  await web.run("echo to be seen");
  await web.shows(/^to be seen/m);
  await web.press("Read-only link");
  const address = await web.page.getByLabel("Address").inputValue();
  await web.page.keyboard.press("Escape");
  expect(address).not.toContain(agent.token);
  const viewer = await browser.open(address);
  await viewer.shows(/^to be seen/m);
  await viewer.focus();
  await viewer.page.keyboard.type("never");
  await web.focus();
  await web.run("echo and more");

  await viewer.shows(/^and more/m);
  expect(await viewer.screen()).not.toContain("never");
  expect(await viewer.page.getByRole("button", { name: "Files", exact: true }).count()).toBe(0);
});
