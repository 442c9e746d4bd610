import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { addressOf, PATIENCE_MS, test, type WebTerminal } from "../helpers/browser.ts";
import { CuttingProxy } from "../helpers/cutting-proxy.ts";
import { scratchDirectory } from "../helpers/scratch.ts";

const isLong = process.env["THAW_LONG"] === "1";
const MB = 1_000_000;

/** Opens the file browser at `path`. */
async function goTo(web: WebTerminal, path: string): Promise<void> {
  await web.press("Files");
  for (const name of path.split("/").filter((part) => part !== "")) {
    await web.page.getByRole("button", { name: `${name}, directory`, exact: true }).click();
  }
}

/** The entries that show, by name. */
const names = (web: WebTerminal) => web.page.locator("#files .entries .name").allTextContents();

test("a directory is shown as it is, and as it changes", async ({ web }) => {
  using scratch = scratchDirectory();
  mkdirSync(join(scratch.path, "inner"));
  writeFileSync(join(scratch.path, "b.txt"), "12345");
  await goTo(web, scratch.path);
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["inner", "b.txt"]);

  writeFileSync(join(scratch.path, "a.txt"), "new");
  await expect
    .poll(() => names(web), { timeout: PATIENCE_MS })
    .toEqual(["inner", "a.txt", "b.txt"]);
  execFileSync("mv", [join(scratch.path, "b.txt"), join(scratch.path, "inner")]);
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["inner", "a.txt"]);
});

test("entries are made, renamed and deleted", async ({ web }) => {
  using scratch = scratchDirectory();
  writeFileSync(join(scratch.path, "old.txt"), "text");
  await goTo(web, scratch.path);
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["old.txt"]);

  await web.press("New directory");
  await web.page.keyboard.type("made");
  await web.page.keyboard.press("Enter");
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["made", "old.txt"]);
  await web.page.getByRole("button", { name: /^old\.txt/ }).focus();
  await web.page.keyboard.press("F2");
  await web.page.keyboard.type("new");
  await web.page.keyboard.press("Enter");
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["made", "new.txt"]);
  await web.page.getByRole("button", { name: /^made/ }).focus();
  await web.page.keyboard.press("Delete");
  await web.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["new.txt"]);

  expect(readFileSync(join(scratch.path, "new.txt"), "utf8")).toBe("text");
});

test("a name that is taken is refused, and its file stays", async ({ web }) => {
  using scratch = scratchDirectory();
  writeFileSync(join(scratch.path, "kept.txt"), "kept");
  writeFileSync(join(scratch.path, "moved.txt "), "moved");
  await goTo(web, scratch.path);
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toHaveLength(2);
  const rename = async (name?: string) => {
    await web.page.getByRole("button", { name: /^moved.txt/ }).focus();
    await web.page.keyboard.press("F2");
    await web.page.keyboard.press("Control+A");
    if (name !== undefined) await web.page.keyboard.type(name);
    await web.page.keyboard.press("Enter");
  };
  // As it is, with the blank at its end.
  await rename();
  await rename("kept.txt");

  const said = web.page.locator("#files [role=alert]");
  await expect.poll(() => said.textContent(), { timeout: PATIENCE_MS }).toMatch(/exists already/);
  expect(readFileSync(join(scratch.path, "kept.txt"), "utf8")).toBe("kept");
  expect(readFileSync(join(scratch.path, "moved.txt "), "utf8")).toBe("moved");
});

test("what changes while a name is typed shows when that is left", async ({ web }) => {
  using scratch = scratchDirectory();
  writeFileSync(join(scratch.path, "first"), "");
  await goTo(web, scratch.path);
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["first"]);
  await web.press("New directory");
  const told = web.page.waitForResponse("**/filesystem.Filesystem/ListDir");
  writeFileSync(join(scratch.path, "second"), "");
  await told;
  await web.page.keyboard.press("Escape");

  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["first", "second"]);
});

test("an entry stays in its place while others change, so that it can be clicked", async ({
  web,
}) => {
  using scratch = scratchDirectory();
  for (const name of ["a", "b", "d"]) writeFileSync(join(scratch.path, name), "");
  await goTo(web, scratch.path);
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["a", "b", "d"]);
  const entry = web.page.getByRole("button", { name: /^b, .*download$/ });
  const before = await entry.elementHandle();
  await entry.focus();
  rmSync(join(scratch.path, "a"));
  writeFileSync(join(scratch.path, "c"), "");
  writeFileSync(join(scratch.path, "d"), "longer");
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["b", "c", "d"]);
  const size = web.page.getByRole("button", { name: "d, 6 B, download" });
  await size.waitFor();

  expect(await before?.evaluate((node) => node === document.activeElement)).toBe(true);
});

test("directories are entered and left by the keyboard alone", async ({ web }) => {
  using scratch = scratchDirectory();
  mkdirSync(join(scratch.path, "outer/empty"), { recursive: true });
  writeFileSync(join(scratch.path, "outer/file"), "");
  await goTo(web, scratch.path);
  const focused = () => web.page.evaluate(() => document.activeElement?.ariaLabel);
  const has = (label: string) => expect.poll(focused, { timeout: PATIENCE_MS }).toBe(label);
  await has("outer, directory");
  await web.page.keyboard.press("Enter");
  await has("empty, directory");
  await web.page.keyboard.press("ArrowDown");
  await has("file, 0 B, download");
  await web.page.keyboard.press("ArrowUp");
  await web.page.keyboard.press("Enter");
  await has("Parent directory");
  await web.page.keyboard.press("Enter");
  await web.page.getByRole("button", { name: "empty, directory" }).focus();
  await web.page.keyboard.press("Backspace");

  await has("outer, directory");
});

test("a page leaves no watcher behind that lives for good", async ({ browser, web }) => {
  using scratch = scratchDirectory();
  await goTo(web, scratch.path);
  await web.page.getByText("nothing here").waitFor();
  writeFileSync(join(scratch.path, "new"), "");
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["new"]);

  // One of WatchDir goes when nobody asks for it, one of CreateWatcher when it is removed.
  const calls = browser.addresses.filter((address) => address.includes("Watch"));
  expect(calls.map((address) => address.split("/").at(-1))).toContain("WatchDir");
  expect(calls.filter((address) => address.endsWith("/CreateWatcher"))).toEqual([]);
});

test("files that are dropped are uploaded, and one of them can be left", async ({ web }) => {
  using scratch = scratchDirectory();
  await goTo(web, scratch.path);
  await web.page.getByText("nothing here").waitFor();
  const held = Promise.withResolvers<void>();
  await web.page.route("**/filesystem.Filesystem/CommitUpload", async (route) => {
    await held.promise;
    await route.continue();
  });
  await web.page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    for (const name of ["one", "two", "three"]) dataTransfer.items.add(new File([name], name));
    const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
    document.querySelector("#files")?.dispatchEvent(drop);
  });
  await web.press("Cancel two");
  held.resolve();

  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["one", "three"]);
  expect(await web.page.locator(".uploads li").count()).toBe(0);
  expect(readFileSync(join(scratch.path, "three"), "utf8")).toBe("three");
});

test("what the guest refuses is said, and nothing else happens", async ({ browser, web }) => {
  await goTo(web, "/proc");
  await web.press("New directory");
  await web.page.keyboard.type("no");
  await web.page.keyboard.press("Enter");

  await expect
    .poll(() => web.page.locator("#files [role=alert]").textContent(), { timeout: PATIENCE_MS })
    .toMatch(/proc/);
  expect(browser.complaints.splice(0).join()).toMatch(/^Failed to load resource: .* 500/);
  expect(await web.page.getByRole("button", { name: "no, directory" }).count()).toBe(0);
});

test("a file is downloaded whole, by an address that holds no token", async ({
  agent,
  browser,
  web,
}) => {
  using scratch = scratchDirectory();
  const content = Buffer.alloc(3 * MB, "download ");
  writeFileSync(join(scratch.path, "a b%20ü.bin"), content);
  await goTo(web, scratch.path);
  const arriving = web.page.waitForEvent("download");
  await web.page.getByRole("button", { name: /^a b%20ü\.bin, .*download$/ }).click();
  const download = await arriving;

  expect(download.suggestedFilename()).toBe("a b%20ü.bin");
  expect(readFileSync(await download.path()).equals(content)).toBe(true);
  expect(download.url()).not.toContain(agent.token);
  expect(browser.addresses.join()).not.toContain(agent.token);
});

test("an upload that is cut goes on with the byte that is missing", async ({ agent, browser }) => {
  using source = scratchDirectory();
  using target = scratchDirectory();
  const size = (isLong ? 200 : 20) * MB;
  const path = join(source.path, "large.bin");
  execFileSync("dd", ["if=/dev/urandom", `of=${path}`, "bs=1000000", `count=${size / MB}`], {
    stdio: "ignore",
  });
  await using proxy = await CuttingProxy.start(Number(new URL(agent.url).port));
  const web = await browser.open(addressOf(agent).replace(agent.url, proxy.url));
  await web.prompt();
  await goTo(web, target.path);
  await web.page.getByText("nothing here").waitFor();

  const waits = web.page.getByText("waits, goes on by itself");
  for (const [at, part] of [0.5, 0.8].entries()) {
    const cut = Promise.withResolvers<void>();
    proxy.onBytes = () => {
      if (proxy.bytesUp < size * part) return;
      proxy.onBytes = () => {};
      // For the browser alone would send the chunk again.
      proxy.isOpen = false;
      proxy.cut("reset");
      cut.resolve();
    };
    if (at === 0) await web.page.locator("#files input[type=file]").setInputFiles(path);
    await cut.promise;
    await waits.waitFor();
    proxy.isOpen = true;
    await waits.waitFor({ state: "hidden" });
  }
  await expect.poll(() => names(web), { timeout: 100_000, interval: 100 }).toEqual(["large.bin"]);

  const hash = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");
  expect(hash(join(target.path, "large.bin"))).toBe(hash(path));
  // Sent once, but for what was under way at the cuts.
  expect(proxy.bytesUp).toBeLessThan(size + 8 * MB);
  expect(statSync(join(target.path, "large.bin")).size).toBe(size);
});

test("an upload goes on after a reload, when the same file is given again", async ({ web }) => {
  using source = scratchDirectory();
  using target = scratchDirectory();
  const path = join(source.path, "again.bin");
  execFileSync("dd", ["if=/dev/urandom", `of=${path}`, "bs=1M", "count=8"], { stdio: "ignore" });
  await goTo(web, target.path);
  await web.page.getByText("nothing here").waitFor();
  const chunks = "**/filesystem.Filesystem/WriteChunk";
  let sent = 0;
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
  await web.page.route(chunks, async (route) => {
    if (sent === 3) return stop();
    sent++;
    await route.continue();
  });
  const give = () => web.page.locator("#files input[type=file]").setInputFiles(path);
  await give();
  await stopped;
  await web.page.reload();
  await web.page.unroute(chunks);
  web.page.on("request", (request) => {
    if (request.url().endsWith("/WriteChunk")) sent++;
  });
  await web.page.getByText("nothing here").waitFor();
  await give();
  await expect.poll(() => names(web), { timeout: PATIENCE_MS }).toEqual(["again.bin"]);

  expect(sent).toBe(8);
  expect(readFileSync(join(target.path, "again.bin")).equals(readFileSync(path))).toBe(true);
});
