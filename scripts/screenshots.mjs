/** Makes docs/images: the web terminal as it is, at work, with files, and while its machine is frozen. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("..", import.meta.url));
const images = join(root, "docs/images");
const home = mkdtempSync(join(tmpdir(), "demo-"));
const agent = spawn(join(root, "dist/thaw"), ["serve", "--port", "0", "--no-cgroups"], {
  stdio: ["ignore", "pipe", "ignore"],
});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"],
});

try {
  mkdirSync(images, { recursive: true });
  makeDemo();
  const page = await browser.newPage({
    viewport: { width: 1280, height: 800 },
    colorScheme: process.argv[2] === "light" ? "light" : "dark",
  });
  await page.goto(await printedAddress());
  await shows(page, /[$#]\s*$/);
  await type(page, `cd ${home}; export HOME=$PWD PS1='\\[\\e[36m\\]\\w\\[\\e[0m\\] $ '; clear`);
  await shows(page, /^~ \$\s*$/m);
  await type(page, "ls --color -lh --time-style=+%H:%M");
  await shows(page, /train\.sh\n.*\$\s*$/);
  await type(page, "./train.sh");
  await shows(page, /epoch 3/);
  await page.keyboard.press("Control+Shift+Enter");
  await shows(page, /[$#]\s*$/);
  await page.keyboard.press("Control+Shift+ArrowLeft");
  await shows(page, /epoch 6/);
  await page.screenshot({ path: join(images, "terminal.png") });

  await page.getByRole("button", { name: "Files", exact: true }).click();
  for (const name of home.split("/").filter((part) => part !== "")) {
    await page.getByRole("button", { name: `${name}, directory`, exact: true }).click();
  }
  await page
    .getByRole("button", { name: /^train\.sh.*download/ })
    .first()
    .waitFor();
  const slow = await page.context().newCDPSession(page);
  await slow.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: 6e6,
  });
  const upload = { name: "weights.bin", mimeType: "application/octet-stream" };
  await page
    .locator("#files input[type=file]")
    .setInputFiles({ ...upload, buffer: Buffer.alloc(40e6, "weights") });
  await page.waitForFunction(() => (document.querySelector("progress")?.value ?? 0) > 0.35);
  await page.getByRole("button", { name: /^data, directory/ }).hover();
  await page.screenshot({ path: join(images, "files.png") });

  await page.getByRole("button", { name: "Status", exact: true }).click();
  await page.getByText("Last restore").waitFor();
  await page.locator(".xterm-screen").first().click();
  await page.waitForTimeout(1_500);
  process.kill(agent.pid, "SIGSTOP");
  await page.locator("#life").getByText("frozen, waiting").waitFor();
  await page.waitForTimeout(7_000);
  await page.mouse.move(640, 780);
  await page.screenshot({ path: join(images, "frozen.png") });
} finally {
  process.kill(agent.pid, "SIGCONT");
  await browser.close();
  agent.kill();
  rmSync(home, { recursive: true, force: true });
}

async function printedAddress() {
  let printed = "";
  for await (const part of agent.stdout) {
    printed += part;
    const address = /http:\S+/.exec(printed)?.[0];
    if (address !== undefined) return address;
  }
  throw new Error("the agent printed no address");
}

/** What the shell of the pictures works on. */
function makeDemo() {
  for (const name of ["data", "notebooks", "models"]) mkdirSync(join(home, name));
  writeFileSync(join(home, "README.md"), "# Demo\n".repeat(120));
  writeFileSync(join(home, "results.csv"), "epoch,loss\n".repeat(4_100));
  writeFileSync(join(home, "requirements.txt"), "numpy\n".repeat(9));
  const train = `#!/bin/sh
i=0; while [ $i -lt 99 ]; do i=$((i + 1))
  printf '\\033[36mepoch %d\\033[0m  loss \\033[33m0.%03d\\033[0m  \\033[32m%s\\033[0m\\n' $i $((9000 / (i + 9))) ok
  test $i -lt 9 && sleep 0.3 || sleep 4
done
`;
  writeFileSync(join(home, "train.sh"), train, { mode: 0o755 });
}

async function type(page, command) {
  await page.keyboard.type(command);
  await page.keyboard.press("Enter");
}

async function shows(page, text) {
  await page.waitForFunction(
    ([source, flags]) => {
      const rows = document.querySelector(".view:not([hidden]) .xterm-rows");
      return new RegExp(source, flags).test(rows?.innerText ?? "");
    },
    [text.source, text.flags],
    { polling: 50 },
  );
}
