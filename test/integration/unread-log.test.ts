import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { expect, test, vi } from "vitest";
import { LAUNCHER } from "../helpers/binary.ts";
import { exchange } from "../helpers/raw-socket.ts";
import { UnreadPipe } from "../helpers/unread-pipe.ts";
import { UnreadSocket } from "../helpers/unread-socket.ts";

const ARGS = ["serve", "--no-token", "--no-cgroups", "--log-level", "debug"];

/** What a supervisor may hand on as stderr. */
const OUTPUTS = [
  ["pipe", UnreadPipe],
  ["socket", UnreadSocket],
] as const;

function serve(output: { fd: number }, port: number) {
  const child = spawn(LAUNCHER, [...ARGS, "--port", String(port)], {
    stdio: ["ignore", "pipe", output.fd],
  });
  const exited = once(child, "exit").then(([code, signal]) => code ?? signal);
  return { child, exited, stdout: createInterface(child.stdout as NodeJS.ReadableStream) };
}

test.for(OUTPUTS)(
  "the agent goes on when nobody reads its log, and closes as ever: %s",
  async ([, Output]) => {
    using output = new Output();
    output.fill();
    const { child, exited, stdout } = serve(output, 0);
    try {
      const [url] = (await once(stdout, "line")) as [string];
      const { port } = new URL(url);
      // Each of them is logged.
      for (let round = 0; round < 20; round += 1) await exchange(Number(port), "?");
      expect((await fetch(new URL("/health", url))).status).toBe(204);

      expect(output.lines()).toEqual([]);
      const refusals = () => output.lines().filter((line) => line.includes("connection refused"));
      await vi.waitFor(() => expect(refusals()).toHaveLength(20), { timeout: 10_000 });
      expect(output.lines()[0]).toContain('"the agent listens"');

      output.fill();
      child.kill("SIGTERM");
      expect(await exited).toBe(0);
    } finally {
      child.kill("SIGKILL");
    }
  },
);

test.for(OUTPUTS)(
  "an agent that cannot start ends also when nobody reads why: %s",
  async ([, Output]) => {
    using output = new Output();
    output.fill();
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    const { child, exited } = serve(output, port);
    try {
      expect(await exited).toBe(1);
    } finally {
      child.kill("SIGKILL");
      taken.close();
    }
  },
);

test.for(OUTPUTS)("others who have its outputs still wait as before: %s", async ([, Output]) => {
  using output = new Output();
  const flags = () => /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${output.fd}`, "utf8"));
  const before = flags()?.[1];
  const child = spawn(LAUNCHER, [...ARGS, "--port", "0"], {
    stdio: ["ignore", output.fd, output.fd],
  });
  const exited = once(child, "exit");
  try {
    const said = () => output.lines().join("\n");
    await vi.waitFor(() => expect(said()).toMatch(/agent listens.*\nhttp:/), { timeout: 10_000 });

    expect(flags()?.[1]).toBe(before);
  } finally {
    child.kill("SIGKILL");
    await exited;
  }
});
