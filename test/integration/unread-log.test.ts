import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { expect, test, vi } from "vitest";
import { LAUNCHER } from "../helpers/binary.ts";
import { exchange } from "../helpers/raw-socket.ts";
import { UnreadPipe } from "../helpers/unread-pipe.ts";

const ARGS = ["serve", "--no-token", "--no-cgroups", "--log-level", "debug"];

function serve(pipe: UnreadPipe, port: number) {
  const child = spawn(LAUNCHER, [...ARGS, "--port", String(port)], {
    stdio: ["ignore", "pipe", pipe.fd],
  });
  const exited = once(child, "exit").then(([code, signal]) => code ?? signal);
  return { child, exited, stdout: createInterface(child.stdout as NodeJS.ReadableStream) };
}

test("the agent goes on when nobody reads its log, and closes as ever", async () => {
  using pipe = new UnreadPipe();
  pipe.fill();
  const { child, exited, stdout } = serve(pipe, 0);
  try {
    const [url] = (await once(stdout, "line")) as [string];
    const { port } = new URL(url);
    // Each of them is logged.
    for (let round = 0; round < 20; round += 1) await exchange(Number(port), "?");
    expect((await fetch(new URL("/health", url))).status).toBe(204);

    expect(pipe.lines()).toEqual([]);
    const refusals = () => pipe.lines().filter((line) => line.includes("connection refused"));
    await vi.waitFor(() => expect(refusals()).toHaveLength(20), { timeout: 10_000 });
    expect(pipe.lines()[0]).toContain('"the agent listens"');

    pipe.fill();
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
  } finally {
    child.kill("SIGKILL");
  }
});

test("an agent that cannot start ends also when nobody reads why", async () => {
  using pipe = new UnreadPipe();
  pipe.fill();
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as { port: number };
  const { child, exited } = serve(pipe, port);
  try {
    expect(await exited).toBe(1);
  } finally {
    child.kill("SIGKILL");
    taken.close();
  }
});
