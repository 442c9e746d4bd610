import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { build } from "esbuild";
import { expect } from "vitest";
import { PATIENCE_MS, test, WebTerminal } from "../helpers/browser.ts";

const ROOT = join(import.meta.dirname, "../..");

/** What a page of somebody else does with the addon. */
const pageOf = (url: string, token: string) => `
import { createConnectTransport } from "@connectrpc/connect-web";
import type { Interceptor } from "@connectrpc/connect";
import { Terminal } from "@xterm/xterm";
import { AttachAddon, type AttachState } from "thaw/web";

const identify: Interceptor = (next) => async (request) => {
  request.header.set("X-Access-Token", ${JSON.stringify(token)});
  return await next(request);
};
const transport = createConnectTransport({
  baseUrl: ${JSON.stringify(url)},
  useBinaryFormat: true,
  interceptors: [identify],
});
const terminal = new Terminal();
terminal.open(document.querySelector<HTMLElement>(".view")!);
const onState = (state: AttachState) => {
  document.title = state.name === "ended" ? state.end.status : state.name;
};
const shown = { command: "/bin/sh", options: { args: ["-i"], env: { PS1: "embedded$ ", TERM: "xterm" } } };
terminal.loadAddon(new AttachAddon({ transport, shown, onState }));
terminal.focus();
`;

test("another page embeds a terminal by the addon, over a transport of its own", async ({
  agent,
  browser,
}) => {
  const { outputFiles } = await build({
    stdin: { contents: pageOf(agent.url, agent.token), resolveDir: ROOT, loader: "ts" },
    write: false,
    bundle: true,
    format: "esm",
  });
  const script = outputFiles[0]?.text ?? "";
  const html = `<!doctype html><link rel="icon" href="data:,"><div class="view"></div><script type="module">${script.replaceAll("</script", "<\\/script")}</script>`;
  await using server = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end(html);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const web = await browser.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await web.shows(/embedded\$/);
  await new WebTerminal(web.page).run("expr 6 '*' 7; exit 5");

  await web.shows(/^42/m);
  await expect.poll(() => web.page.title(), { timeout: PATIENCE_MS }).toBe("exit status 5");
  await web.page.close();
  server.closeAllConnections();
});

test("its types are those of a package", () => {
  const directory = mkdtempSync(join(ROOT, "dist", "consumer-"));
  try {
    writeFileSync(join(directory, "page.ts"), pageOf("http://guest", "token"));
    const compilerOptions = {
      module: "esnext",
      moduleResolution: "bundler",
      target: "es2022",
      lib: ["es2023", "esnext.disposable", "dom"],
      strict: true,
      noEmit: true,
      types: [],
    };
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions }));
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");

    const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", directory], {
      encoding: "utf8",
    });
    expect(stdout).toBe("");
    expect(status).toBe(0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
