import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test as base, expect } from "vitest";
import { openClient } from "../helpers/net-client.ts";
import { rawSocket } from "../helpers/raw-socket.ts";

const PROGRAM = join(import.meta.dirname, "../fixtures/idle-server.ts");
/** What looks every second is seen three times in it. */
const WINDOW_MS = 3_000;
/** By then the runtime has tidied up after its start. */
const TIMEOUT_MS = 25_000;

/** How often the program slept and was woken since the last time this was asked. */
function wakeUps({ pid }: ChildProcess): () => number {
  let before = 0;
  return () => {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const count = Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)?.[1]);
    const since = count - before;
    before = count;
    return since;
  };
}

const test = base.extend<{ program: string; server: { child: ChildProcess; port: number } }>({
  program: PROGRAM,
  server: async ({ program }, use) => {
    const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    await use({ child, port: Number(line) });
    const ended = once(child, "close");
    child.kill("SIGKILL");
    await ended;
  },
});

const polling = { interval: WINDOW_MS, timeout: TIMEOUT_MS };

test("a server without connections is woken by nothing", async ({ server }) => {
  const http1 = await openClient({ version: "h1", isEncrypted: false }, server);
  await http1.ask("/", "done");
  http1.destroy();
  await http1.ended;

  await expect.poll(wakeUps(server.child), polling).toBe(0);
});

test("an idle HTTP/2 connection does not wake the server every second", async ({ server }) => {
  const http2 = await openClient({ version: "h2", isEncrypted: false }, server);
  await http2.ask("/", "done");

  await expect.poll(wakeUps(server.child), polling).toBe(0);
  http2.destroy();
});

test("half a request is given up as ever after a rest", async ({ server }) => {
  const first = await openClient({ version: "h1", isEncrypted: false }, server);
  await first.ask("/", "done");
  first.destroy();
  await first.ended;

  const { socket, closed } = await rawSocket(server.port);
  socket.write("GET / HTTP/1.1\r\nHost: gu");

  expect(await closed).toContain("408 Request Timeout");
});
