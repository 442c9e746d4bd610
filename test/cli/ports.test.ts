import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { describe, expect, vi } from "vitest";
import { readForward } from "../../src/cli/forward.ts";
import { test } from "../helpers/agent.ts";
import { RunningThaw, thaw } from "../helpers/thaw.ts";

/** A server on loopback, as a program of the guest's. */
async function listening(serve: (socket: Socket) => void) {
  const server = createServer({ allowHalfOpen: true }, serve);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.dispose]: () => server.close(),
  };
}

/** The port of this machine that a running forward has printed. */
async function localPort(running: RunningThaw): Promise<number> {
  await vi.waitFor(() => expect(running.stdout).toContain("->"), { timeout: 20_000 });
  return Number(/:(\d+) ->/.exec(running.stdout)?.[1]);
}

describe("thaw ports", () => {
  test("lists what listens in the guest", async ({ agent }) => {
    using server = await listening(() => {});

    const { code, stdout } = await thaw(["ports", agent.url, "--json"]);
    const asTable = await thaw(["ports", agent.url]);

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toContainEqual(
      expect.objectContaining({ address: "127.0.0.1", port: server.port }),
    );
    expect(asTable.stdout).toMatch(/^ADDRESS +PORT +PID +FORWARDED +COMMAND\n/);
  });
});

describe("thaw forward", () => {
  test("carries many connections, each direction to its own end", async ({ agent }) => {
    // Answers when it has heard all, which takes an end that leaves the other way open.
    using server = await listening((socket) => {
      void buffer(socket).then((heard) => socket.end(`heard ${heard.length}`));
    });
    await using running = new RunningThaw(["forward", agent.url, `0:${server.port}`]);
    const port = await localPort(running);

    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
        socket.end(Buffer.alloc(index * 1_000));
        return (await buffer(socket)).toString();
      }),
    );

    expect(answers).toEqual(Array.from({ length: 50 }, (_, index) => `heard ${index * 1_000}`));
    running.child.kill("SIGINT");
    expect(await running.exited).toBe(0);
    expect(running.stderr).toBe("");
  });

  test("resets a connection to where nobody listens, and goes on", async ({ agent }) => {
    const gone = await listening(() => {});
    gone[Symbol.dispose]();
    await using running = new RunningThaw(["forward", agent.url, `0:${gone.port}`]);
    const socket = connect(await localPort(running), "127.0.0.1");

    const [reason] = await once(socket, "error").catch((error: unknown) => [error]);

    expect((reason as { code?: string }).code).toBe("ECONNRESET");
    await vi.waitFor(() => expect(running.stderr).toContain(`thaw: ${gone.port}: `));
    expect(running.child.exitCode).toBeNull();
  });

  test("says which port of this machine is taken", async ({ agent }) => {
    using server = await listening(() => {});

    const result = await thaw(["forward", agent.url, `${server.port}:1`]);

    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining("EADDRINUSE") });
  });

  test.for([
    ["3000", { bind: "127.0.0.1", localPort: 3000, host: "", port: 3000 }],
    ["8080:3000", { bind: "127.0.0.1", localPort: 8080, host: "", port: 3000 }],
    ["0.0.0.0:0:3000", { bind: "0.0.0.0", localPort: 0, host: "", port: 3000 }],
    ["8080:db.lan:5432", { bind: "127.0.0.1", localPort: 8080, host: "db.lan", port: 5432 }],
    ["[::1]:8080:[fd00::1]:5432", { bind: "::1", localPort: 8080, host: "fd00::1", port: 5432 }],
    ["8080:0", undefined],
    ["x", undefined],
    ["1:2:3:4:5", undefined],
    ["70000", undefined],
  ] as const)("reads %s", ([text, forward]) => {
    expect(readForward(text)).toEqual(forward);
  });
});
