import { describe, expect } from "vitest";
import { Binary } from "../helpers/binary.ts";
import { test } from "../helpers/browser.ts";

describe("an access token", () => {
  test("that is missing is asked for, and then all goes on", async ({ agent, browser }) => {
    const web = await browser.open(agent.url);

    const dialog = web.page.getByRole("dialog", { name: "Access token" });
    await dialog.waitFor();
    expect(await dialog.textContent()).toContain("thaw serve prints it");
    await web.page.keyboard.type(agent.token);
    await web.page.keyboard.press("Enter");

    await web.prompt();
    browser.complaints.length = 0;
  });

  test("that is wrong is said to be, and a reload keeps the right one", async ({
    agent,
    browser,
  }) => {
    const web = await browser.open(`${agent.url}/#token=wrong`);

    const dialog = web.page.getByRole("dialog", { name: "Access token" });
    await dialog.waitFor();
    expect(await dialog.textContent()).toContain("does not know this access token");
    await dialog.getByLabel("Access token", { exact: true }).fill(agent.token);
    await web.page.keyboard.press("Enter");
    await web.prompt();
    await web.page.reload();

    await web.prompt();
    browser.complaints.length = 0;
  });

  test("is not needed where the agent has none", async ({ browser }) => {
    await using agent = await Binary.serve(["--no-token"]);
    const web = await browser.open(agent.url);

    await web.prompt();
  });

  test("is in no log, whatever is done", async ({ agent, web }) => {
    await web.press("Files");
    await web.page.getByRole("button", { name: "etc, directory" }).click();
    await web.press("Status");
    await web.focus();
    await web.run("echo logged");
    await web.shows(/^logged/m);

    expect(agent.stderr).not.toContain(agent.token);
  });

  test("that changes is asked for, and all goes on where it was", async ({ browser }) => {
    await using agent = await Binary.envd(["-isnotfc=true"]);
    const web = await browser.open(agent.url);
    await web.prompt();
    await web.run("kept=$((6 * 7)); echo before");
    await web.shows(/^before/m);
    await fetch(`${agent.url}/init`, { method: "POST", body: '{"accessToken":"another"}' });
    await web.page.keyboard.type("e");
    await web.page.getByRole("dialog", { name: "Access token" }).waitFor();
    await web.page.keyboard.type("another");
    await web.page.keyboard.press("Enter");
    await web.run("cho kept is $kept");

    await web.shows(/^kept is 42/m);
    expect(await web.page.getByRole("tab").allTextContents()).toHaveLength(1);
    browser.complaints.length = 0;
  });
});
