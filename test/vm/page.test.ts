import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { TestBrowser, type WebTerminal } from "../helpers/browser.ts";
import { describeVm } from "./describe-vm.ts";
import { ENVD, Rig } from "./rig/machine.ts";
import { GUEST } from "./rig/network.ts";
import { report } from "./tables.ts";

const isLong = process.env["THAW_LONG"] === "1";
const FROZEN_MS = isLong ? 20_000 : 5_000;
/** Where pictures of before, during and after go; none are made where it is not set. */
const PICTURES = process.env["THAW_PICTURES"];

async function picture(web: WebTerminal, name: string): Promise<void> {
  if (PICTURES === undefined) return;
  mkdirSync(PICTURES, { recursive: true });
  await web.page.screenshot({ path: join(PICTURES, `${name}.png`) });
}

describeVm("the page of a machine that is frozen and restored in another process", () => {
  test("goes on by itself, with all that was written and typed", async () => {
    await using rig = new Rig(ENVD);
    const before = await rig.boot();
    const { network } = before;
    await using browser = await TestBrowser.start({ namespace: network.name });
    const web = await browser.open(`http://${GUEST}:49983/`);
    await web.prompt();
    const entries = web.page.locator("#files .entries .name");
    await web.press("Files");
    await web.page.getByRole("button", { name: "tmp, directory", exact: true }).click();
    await web.press("Status");
    await web.page.getByText("Last restore").waitFor();
    await web.focus();
    await web.run(
      "cd /tmp; i=0; while read -t 0.2 line; [ -z $line ]; do i=$((i+1)); echo tick $i; done; echo read $line; touch made-$line",
    );
    await web.shows(/tick 10\s/);
    await picture(web, "before");

    const snapshot = await before.snapshot();
    await before.end({ keepNetwork: true });
    await web.says(/waiting/);
    await web.page.keyboard.type("typed-meanwhile\n");
    await delay(FROZEN_MS);
    await picture(web, "during");
    const after = await rig.restore(snapshot, { network });
    await after.resume();
    const began = performance.now();
    await web.says(/connected/);
    const noticedMs = performance.now() - began;
    await web.shows(/^read typed-meanwhile/m);
    const wentOnMs = performance.now() - began;
    await expect
      .poll(() => entries.allTextContents(), { timeout: 60_000, interval: 50 })
      .toContain("made-typed-meanwhile");
    const filesMs = performance.now() - began;
    await web.page.getByText("connections ended").waitFor();
    await picture(web, "after");

    const ms = (value: number) => `${Math.round(value)} ms`;
    report("the page after a restore", [
      ["", "since the guest's first instruction"],
      ["says that it is connected", ms(noticedMs)],
      ["what was typed meanwhile has arrived", ms(wentOnMs)],
      ["the file that it made shows", ms(filesMs)],
    ]);
    // Not at the beginning of a line where it came between two keys that the terminal echoed.
    const ticks = [...(await web.screen()).matchAll(/tick (\d+)/g)].map(([, count]) =>
      Number(count),
    );
    expect(ticks.length).toBeGreaterThan(5);
    expect(ticks).toEqual(ticks.map((_, at) => (ticks[0] ?? 0) + at));
    expect(wentOnMs).toBeLessThan(isLong ? 3_000 : 15_000);
    await after.end();
  });
});
