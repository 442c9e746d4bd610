import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "playwright-core";
import { test as base, expect } from "vitest";
import { Binary } from "./binary.ts";

/** Debian's Chromium, kept from everything that is not the page. */
const CHROMIUM = {
  executablePath: "/usr/bin/chromium",
  args: [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
};

/** How long a prompt, an answer, a file may take to show, in ms: the machine may be busy. */
export const PATIENCE_MS = 30_000;

/** A browser of its own, and all that its pages said and asked for. */
export class TestBrowser implements AsyncDisposable {
  /** Errors and warnings of every page. */
  readonly complaints: string[] = [];
  /** The origin of every request. */
  readonly origins = new Set<string>();
  /** The address of every request. */
  readonly addresses: string[] = [];
  readonly #directory: string;
  readonly context: BrowserContext;

  private constructor(directory: string, context: BrowserContext) {
    this.#directory = directory;
    this.context = context;
    context.on("request", (request) => {
      this.addresses.push(request.url());
      this.origins.add(new URL(request.url()).origin);
    });
    context.on("console", (message) => {
      const kind = message.type();
      if (kind === "error" || kind === "warning") this.complaints.push(message.text());
    });
    context.on("weberror", (error) => this.complaints.push(String(error.error())));
  }

  /** Starts it with an empty profile; with `namespace`, in that network namespace. */
  static async start({
    namespace,
    ...options
  }: BrowserContextOptions & { namespace?: string } = {}): Promise<TestBrowser> {
    const directory = mkdtempSync(join(tmpdir(), "thaw-chromium-"));
    const inside = join(directory, "start");
    if (namespace !== undefined) {
      const command = `exec ip netns exec ${namespace} ${CHROMIUM.executablePath} "$@"`;
      writeFileSync(inside, `#!/bin/sh\n${command}\n`, { mode: 0o755 });
    }
    const context = await chromium.launchPersistentContext(directory, {
      ...CHROMIUM,
      ...(namespace !== undefined && { executablePath: inside }),
      viewport: { width: 1280, height: 800 },
      acceptDownloads: true,
      ...options,
    });
    return new TestBrowser(directory, context);
  }

  /** Opens `address` in a window of its own. */
  async open(address: string): Promise<WebTerminal> {
    const page = await this.context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(address);
    return new WebTerminal(page);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close();
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The page, as a person uses it. */
export class WebTerminal {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** What the terminal in front shows. */
  async screen(): Promise<string> {
    return await this.page.locator(".view:not([hidden]) .xterm-rows").innerText();
  }

  /** Waits until the terminal in front shows `text`. */
  async shows(text: RegExp, timeout = PATIENCE_MS): Promise<void> {
    await expect.poll(() => this.screen(), { timeout, interval: 30 }).toMatch(text);
  }

  /** Waits for a shell that waits for a command. */
  async prompt(): Promise<void> {
    await this.shows(/[$#]\s*$/);
  }

  /** Takes the keys to the terminal in front. */
  async focus(): Promise<void> {
    await this.page.locator(".view:not([hidden]) .xterm-screen").click();
  }

  /** Types a command and its Enter. */
  async run(command: string): Promise<void> {
    await this.page.keyboard.type(command);
    await this.page.keyboard.press("Enter");
  }

  /** Puts `text` into the terminal as a paste does. */
  async paste(text: string): Promise<void> {
    // As text: this file is checked without the DOM.
    await this.page.evaluate(`{
      const data = new DataTransfer();
      data.setData("text/plain", ${JSON.stringify(text)});
      const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
      document.querySelector(".view:not([hidden]) .xterm-helper-textarea").dispatchEvent(event);
    }`);
  }

  /** Presses the button called `name`. */
  async press(name: string | RegExp): Promise<void> {
    await this.page.getByRole("button", { name, exact: typeof name === "string" }).click();
  }

  /** Waits until the bar says `text`. */
  async says(text: RegExp, timeout = PATIENCE_MS): Promise<void> {
    const bar = this.page.locator("#life");
    await expect.poll(() => bar.textContent(), { timeout, interval: 30 }).toMatch(text);
  }
}

interface Fixtures {
  agent: Binary;
  browser: TestBrowser;
  /** A page of the agent with a shell that waits. */
  web: WebTerminal;
}

/** A test with a real agent, a real browser, and a page that has nothing to complain of. */
export const test = base.extend<Fixtures>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads what a fixture needs from here
  agent: async ({}, use) => {
    await using agent = await Binary.serve();
    // It listens before it says where.
    await expect.poll(() => agent.token, { timeout: PATIENCE_MS }).not.toBe("");
    await use(agent);
  },
  // oxlint-disable-next-line no-empty-pattern -- as above
  browser: async ({}, use) => {
    await using browser = await TestBrowser.start();
    await use(browser);
    // An agent that was closed before its page is missed.
    expect(browser.complaints.filter((text) => !text.includes("net::ERR_"))).toEqual([]);
  },
  web: async ({ agent, browser }, use) => {
    const web = await browser.open(addressOf(agent));
    await web.prompt();
    await use(web);
    expect(browser.complaints).toEqual([]);
    expect([...browser.origins]).toEqual([agent.url]);
    expect(browser.addresses.filter((address) => address.includes(agent.token))).toEqual([]);
  },
});

/** The address that the agent prints. */
export function addressOf(agent: Binary): string {
  return `${agent.url}/#token=${agent.token}`;
}
