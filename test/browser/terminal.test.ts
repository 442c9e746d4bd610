import { createHash } from "node:crypto";
import { describe, expect } from "vitest";
import { addressOf, PATIENCE_MS, test, type WebTerminal } from "../helpers/browser.ts";

const isLong = process.env["THAW_LONG"] === "1";
const MIB = 1024 * 1024;

test("a paste of 1 MB arrives whole and in order", async ({ web }) => {
  const line = `${"0123456789abcdef".repeat(4)}\n`;
  const text = Array.from({ length: MIB / 65 }, (_, at) => `${at} ${line}`)
    .join("")
    .slice(0, MIB);
  const expected = createHash("sha256").update(`${text}\n`).digest("hex");

  await web.run("stty -echo; cat | sha256sum; stty echo");
  await web.shows(/stty echo/);
  await web.paste(`${text}\n`);
  await web.page.keyboard.press("Control+D");

  await web.shows(new RegExp(expected), 60_000);
});

test("vim edits and leaves the screen as it was", async ({ web }) => {
  await web.run("cd $(mktemp -d) && vi -u NONE note.txt");
  await web.shows(/note\.txt/);
  await web.shows(/^~/m);
  await web.page.keyboard.type("ihello from vim");
  await web.page.keyboard.press("Escape");
  await web.page.keyboard.type(":wq");
  await web.page.keyboard.press("Enter");
  await web.prompt();
  await web.run("cat note.txt | rev");

  await web.shows(/miv morf olleh/);
  expect(await web.screen()).not.toMatch(/^~/m);
});

test("htop draws its bars and takes its keys", async ({ web }) => {
  await web.run("htop");
  await web.shows(/Load average/);
  await web.shows(/F10\s?Quit/);
  await web.page.keyboard.press("q");

  await web.prompt();
});

test("what is selected is copied, and nothing takes its place", async ({ browser, web }) => {
  await browser.context.grantPermissions(["clipboard-read"]);
  await web.run("echo copied-word");
  await web.shows(/^copied-word/m);
  const row = web.page.locator(".xterm-rows > div").filter({ hasText: /^copied-word/ });
  const box = await row.boundingBox();
  await web.page.mouse.dblclick((box?.x ?? 0) + 20, (box?.y ?? 0) + 5);
  await web.page.keyboard.press("Control+Shift+C");
  const held = () => web.page.evaluate(() => navigator.clipboard.readText());
  const copied = await held();
  await web.run("clear");
  await web.page.keyboard.press("Control+Shift+C");

  expect(copied).toBe("copied-word");
  expect(await held()).toBe("copied-word");
});

test("a storm of resizes ends with the size that fits", async ({ web }) => {
  for (let at = 0; at < 40; at++) {
    await web.page.setViewportSize({ width: 500 + 30 * (at % 17), height: 300 + 25 * (at % 11) });
  }
  await web.page.setViewportSize({ width: 1100, height: 700 });
  const rows = () => web.page.locator(".view:not([hidden]) .xterm-rows > div").count();
  const told = async () => {
    await web.page.keyboard.type("clear; stty size\n");
    await web.page.waitForTimeout(300);
    return /^(\d+) \d+/m.exec(await web.screen())?.[1];
  };

  // The page counts its rows anew after the last of the sizes, at some time.
  await expect
    .poll(async () => (await told()) === `${await rows()}`, { timeout: PATIENCE_MS })
    .toBe(true);
});

describe("a flood of output", () => {
  test("is ended by Ctrl-C at once, and does not fill the page", async ({ web }) => {
    const rounds = isLong ? 20 : 5;
    const session = await web.page.context().newCDPSession(web.page);
    const heap = async () => {
      await session.send("HeapProfiler.collectGarbage");
      return (await session.send("Runtime.getHeapUsage")).usedSize;
    };
    const tookMs: number[] = [];
    await web.run("PS1='done> '; clear");
    await web.shows(/done>\s*$/);
    await flood(web, isLong ? 30_000 : 2_000);
    const before = await heap();
    for (let round = 0; round < rounds; round++) tookMs.push(await flood(web, 1_000));
    const after = await heap();

    const median = tookMs.toSorted((one, other) => one - other)[Math.floor(rounds / 2)] ?? 0;
    console.log(`Ctrl-C took effect after ${tookMs.map((ms) => ms.toFixed(0)).join(", ")} ms`);
    console.log(`median ${median.toFixed(0)} ms; heap ${before} then ${after}`);
    expect(median).toBeLessThan(isLong ? 200 : 3_000);
    expect(after).toBeLessThan(before + 20 * MIB);
  });

  test("waits for what was shown to be acknowledged", async ({ web }) => {
    // Nothing of it arrives.
    await web.page.route("**/process.Process/AcknowledgeOutput", () => {});
    const session = await web.page.context().newCDPSession(web.page);
    await session.send("Network.enable");
    let received = 0;
    session.on("Network.dataReceived", ({ dataLength }) => (received += dataLength));
    await web.run("yes 0123456789");
    await expect.poll(() => received, { timeout: PATIENCE_MS }).toBeGreaterThan(MIB / 16);
    await web.page.waitForTimeout(1_000);

    expect(received).toBeLessThan(MIB / 4);
  });

  test("of any bytes leaves the page alive", async ({ web }) => {
    await web.run("cat /dev/urandom");
    await web.page.waitForTimeout(2_000);
    await web.page.keyboard.press("Control+C");
    await web.page.keyboard.press("Enter");
    await web.page.keyboard.type("reset");
    await web.page.keyboard.press("Enter");
    await web.page.keyboard.type("echo alive");
    await web.page.keyboard.press("Enter");

    await web.shows(/^alive/m);
  });
});

test("a reload keeps what has scrolled by, and types nothing of its own", async ({ web }) => {
  await web.run("seq -f 'line %g of them' 300; printf '\\e[6n'; read -rsdR");
  await web.prompt();
  await web.run("seq -f 'later %g' 60");
  await web.shows(/later 60\s/);
  await web.page.reload();
  await web.shows(/later 60\s/);
  await web.press("Search the terminal");
  await web.page.keyboard.type("line 1 of them");

  const count = web.page.locator("#search output");
  await expect.poll(() => count.textContent(), { timeout: PATIENCE_MS }).toMatch(/^1 \/ \d+|^\d+$/);
  await web.page.keyboard.press("Escape");
  await web.run("echo; echo clean");
  await web.shows(/^clean/m);
  expect(await web.screen()).not.toMatch(/\d+;\d+[cR]/);
});

test("two windows show one terminal, and both write to it", async ({ agent, browser, web }) => {
  await web.run("echo first window");
  await web.shows(/^first window/m);
  const other = await browser.open(addressOf(agent));
  await other.prompt();
  await other.press("Attach to a process");
  await other.page.getByRole("dialog").getByRole("button", { name: /sh -c/ }).first().click();
  await other.shows(/^first window/m);

  await other.run("echo second window");
  await web.shows(/^second window/m);
  await web.run("echo first again");
  await other.shows(/^first again/m);
});

test("a program on pipes can be looked at", async ({ web }) => {
  await web.run("echo $PPID; sleep 1000 | cat & true");
  await web.press("Attach to a process");
  const choices = web.page.getByRole("dialog").getByRole("listitem");

  await expect.poll(() => choices.count(), { timeout: PATIENCE_MS }).toBe(1);
});

test("a program that ends says how", async ({ web }) => {
  await web.run("exit 3");

  await web.shows(/ended: exit status 3/);
});

/** Lets `yes` run for `ms` and gives how long the prompt took from the key that ends it, in ms. */
async function flood(web: WebTerminal, ms: number): Promise<number> {
  await web.run("yes 0123456789");
  await web.shows(/(0123456789\s+){5}/);
  await web.page.waitForTimeout(ms);
  return await web.page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const rows = document.querySelector(".view:not([hidden]) .xterm-rows");
        const area = document.querySelector(".view:not([hidden]) .xterm-helper-textarea");
        const began = performance.now();
        const watching = new MutationObserver(() => {
          if (!/done>\s*$/.test((rows as HTMLElement).innerText)) return;
          watching.disconnect();
          resolve(performance.now() - began);
        });
        if (rows !== null)
          watching.observe(rows, { childList: true, subtree: true, characterData: true });
        const key = { key: "c", code: "KeyC", keyCode: 67, ctrlKey: true, bubbles: true };
        area?.dispatchEvent(new KeyboardEvent("keydown", key));
      }),
  );
}
