import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer, type Server } from "node:net";
import { describe, expect, vi } from "vitest";
import { State } from "../../gen/snapshot/snapshot_pb.js";
import { Guest, GuestError, Interrupted, withSnapshot } from "../../src/client/index.ts";
import { leavingNothing, startTestAgent, test } from "../helpers/agent.ts";

/** A server that accepts and never says a word. */
async function silentServer(): Promise<Server & AsyncDisposable & { url: string }> {
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return Object.assign(server, {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

/** An HTTP/1 server that is no agent. */
async function plainServer(listener: RequestListener): Promise<AsyncDisposable & { url: string }> {
  const server = createHttpServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe("a guest", () => {
  test("runs a program and tells its output and end", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const program = await guest.process.start("sh", {
      args: ["-c", "echo out; echo err >&2; exit 3"],
    });

    expect(await program.text()).toMatchObject({
      stdout: "out\n",
      stderr: "err\n",
      exitCode: 3,
      status: "exit status 3",
    });
  });

  test("takes input and signals", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const cat = await guest.process.start("cat", { stdin: true });
    await cat.sendInput(Buffer.from("words"));
    await cat.closeStdin();
    const sleeping = await guest.process.start("sleep", { args: ["1000"], tag: "sleeping" });
    await sleeping.kill("SIGKILL");

    expect(await cat.text()).toMatchObject({ stdout: "words", exitCode: 0 });
    expect(await sleeping.wait()).toMatchObject({ status: "signal: killed" });
  });

  test("goes on with a stream that is cut, and finds a program again", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const program = await guest.process.start("sleep", { args: ["1000"] });
    const waiting = program.wait();
    guest.dropConnections();
    const found = await guest.process.connect(program.pid);
    await found.kill();

    expect(await found.wait()).toMatchObject({ status: "signal: terminated" });
    expect(await waiting).toMatchObject({ status: "signal: terminated" });
  });

  test("moves files", async ({ agent }) => {
    using guest = new Guest(agent.url, { user: "root" });
    const path = `${agent.directory}/file`;
    await guest.files.write(path, "content");

    expect((await guest.files.read(path)).toString()).toBe("content");
    expect((await guest.files.list(agent.directory)).map(({ name }) => name)).toContain("file");
    expect(await guest.files.stat(path)).toMatchObject({ name: "file", size: 7n });
    await guest.files.remove(path);
    await expect(guest.files.read(path)).rejects.toMatchObject({ kind: "not-found" });
    await expect(guest.files.stat(path)).rejects.toMatchObject({ kind: "not-found" });
  });

  test("is refused without its token, in a word that programs understand", async () => {
    await using agent = await startTestAgent({ accessToken: "secret" });
    using stranger = new Guest(agent.url);
    using friend = new Guest(agent.url, { token: "secret" });

    await expect(stranger.process.list()).rejects.toMatchObject({ kind: "unauthenticated" });
    await expect(stranger.process.list()).rejects.toThrow(GuestError);
    expect(await friend.process.list()).toEqual([]);
  });

  test("tells its version in both dialects", async ({ agent }) => {
    await using other = await startTestAgent({ dialect: "wrenn" });
    using guest = new Guest(agent.url);
    using otherGuest = new Guest(other.url);

    expect(await guest.version()).toMatch(/^\d+\.\d+\.\d+$/);
    expect(await otherGuest.version()).toBe(await guest.version());
  });

  test("keeps no idle connection when told so", async ({ agent }) => {
    using guest = new Guest(agent.url);
    await guest.process.list();
    await guest.version();
    await vi.waitFor(() => expect(agent.connections()).toBe(2));

    await vi.waitFor(() => {
      guest.closeIdleConnections();
      expect(agent.connections()).toBe(0);
    });
    expect(await guest.process.list()).toEqual([]);
  });
});

describe("a guest that is not there", () => {
  test("is waited for until it is", async () => {
    await using place = await startTestAgent();
    const { port, url } = place;
    await place.close();
    using guest = new Guest(url);
    const ready = guest.waitUntilReady();
    await using _agent = await startTestAgent({ port });

    await ready;
  });

  test("is waited for as long as was said", async () => {
    await using server = await silentServer();
    using guest = new Guest(server.url);

    await expect(guest.waitUntilReady({ timeoutMs: 300 })).rejects.toMatchObject({
      kind: "timeout",
    });
  });

  test("is waited for until the caller gives up", async () => {
    await using server = await silentServer();
    using guest = new Guest(server.url);
    const signal = AbortSignal.timeout(100);

    await expect(guest.waitUntilReady({ signal })).rejects.toMatchObject({ name: "TimeoutError" });
  });

  test.for(["unary", "stream", "plain"] as const)(
    "fails a call in time whose answer does not begin: %s",
    async (kind) => {
      await using server = await silentServer();
      using guest = new Guest(server.url, { headersMs: 300 });
      const calls = {
        unary: () => guest.process.list(),
        stream: () => guest.process.start("true", { firstContactMs: 0 }),
        plain: () => guest.files.read("/x"),
      };

      await expect(calls[kind]()).rejects.toMatchObject({ kind: "timeout" });
    },
  );
});

describe.for(["1.1", "2"] as const)("a guest over HTTP/%s", (httpVersion) => {
  test("runs programs, and keeps no idle connection when told so", async ({ agent }) => {
    using guest = new Guest(agent.url, { httpVersion });
    const program = await guest.process.start("cat", { stdin: true });
    await program.sendInput(Buffer.from("words"));
    await program.closeStdin();
    expect(await program.text()).toMatchObject({ stdout: "words", exitCode: 0 });
    await vi.waitFor(() => {
      guest.closeIdleConnections();
      expect(agent.connections()).toBe(0);
    });

    expect(await guest.process.list()).toEqual([]);
  });

  test("asks once more when the connection of an idempotent call was lost", async ({ agent }) => {
    using guest = new Guest(agent.url, { httpVersion });
    await guest.process.list();
    const listing = guest.process.list();
    guest.dropConnections();

    expect(await listing).toEqual([]);
  });

  test("is brought to rest and back", async ({ agent }) => {
    using guest = new Guest(agent.url, { httpVersion });
    await guest.process.list();
    const result = await withSnapshot(guest, async () => {
      await vi.waitFor(() => expect(agent.connections(), "nothing holds the guest").toBe(0));
    });

    expect(result).toMatchObject({ prepared: { quiescent: true }, restored: { generation: 2n } });
  });

  test("fails a call in time whose answer does not begin", async () => {
    await using server = await silentServer();
    using guest = new Guest(server.url, { httpVersion, headersMs: 300 });

    await expect(guest.process.list()).rejects.toMatchObject({ kind: "timeout" });
    const starting = guest.process.start("true", { firstContactMs: 0 });
    await expect(starting).rejects.toMatchObject({ kind: "timeout" });
  });
});

/** Every call that waits for an answer. */
const WAITS: Record<string, (guest: Guest, signal: AbortSignal) => Promise<unknown>> = {
  version: (guest, signal) => guest.version(signal),
  waitUntilReady: (guest, signal) => guest.waitUntilReady({ signal }),
  "process.start": (guest, signal) => guest.process.start("true", { signal }),
  "process.connect": (guest, signal) => guest.process.connect(1, { signal }),
  "process.list": (guest, signal) => guest.process.list({ signal }),
  "files.list": (guest, signal) => guest.files.list("/", signal),
  "files.stat": (guest, signal) => guest.files.stat("/", signal),
  "files.makeDir": (guest, signal) => guest.files.makeDir("/x", signal),
  "files.move": (guest, signal) => guest.files.move("/x", "/y", signal),
  "files.remove": (guest, signal) => guest.files.remove("/x", signal),
  "files.read": (guest, signal) => guest.files.read("/x", signal),
  "files.readParts": (guest, signal) => guest.files.readParts("/x", { signal }).next(),
  "files.write": (guest, signal) => guest.files.write("/x", "x", signal),
  "files.watch": (guest, signal) => guest.files.watch("/", { signal }),
  "files.upload": (guest, signal) => guest.files.upload(Buffer.from("x"), "/x", { signal }),
  "files.download": (guest, signal) => guest.files.download("/x", "/tmp/never", { signal }),
  "files.listTree": (guest, signal) => guest.files.listTree("/", { signal }),
  "files.readTree": (guest, signal) => guest.files.readTree("/", { signal }).next(),
  "files.copyIn": (guest, signal) => guest.files.copyIn(import.meta.dirname, "/x", { signal }),
  "files.copyOut": (guest, signal) => guest.files.copyOut("/x", "/tmp/never", { signal }),
  "ports.list": (guest, signal) => guest.ports.list(signal),
  "snapshot.status": (guest, signal) => guest.snapshot.status(signal),
  "snapshot.prepare": (guest, signal) => guest.snapshot.prepare(signal),
  "snapshot.restore": (guest, signal) => guest.snapshot.restore({ signal }),
  "snapshot.init": (guest, signal) => guest.snapshot.init({}, signal),
  withSnapshot: (guest, signal) => withSnapshot(guest, async () => {}, { signal }),
};

test.for(Object.keys(WAITS))("%s waits for no longer than its signal", async (name) => {
  await using server = await silentServer();
  using guest = new Guest(server.url);
  const leaving = new AbortController();
  const waiting = WAITS[name]?.(guest, leaving.signal);
  await new Promise((resolve) => server.once("connection", resolve));
  leaving.abort(new Error("enough"));

  await expect(waiting).rejects.toThrow("enough");
});

describe("a file that stands still on its way", () => {
  test("is given up while it is read, and may be asked for again", async () => {
    await leavingNothing(async () => {
      await using server = await plainServer((_, response) => {
        response.writeHead(200, { "content-length": 10 });
        response.write("half");
      });
      using guest = new Guest(server.url, { stallMs: 300 });

      const failure = await guest.files.read("/x").catch((reason: unknown) => reason);
      expect(failure).toMatchObject({ kind: "timeout", isRetryable: true });
    });
  });

  test("is given up while it is written", async () => {
    await leavingNothing(async () => {
      await using server = await plainServer((request) => request.pause());
      using guest = new Guest(server.url, { stallMs: 300 });
      const content = Buffer.alloc(64 * 1024 * 1024);

      await expect(guest.files.write("/x", content)).rejects.toMatchObject({ kind: "timeout" });
    });
  });

  test("is read for longer than that when it moves", async () => {
    await using server = await plainServer((_, response) => {
      response.writeHead(200, { "content-length": 8 });
      let left = 8;
      const timer = setInterval(() => {
        response.write("x");
        if (--left === 0) clearInterval(timer);
      }, 60);
    });
    using guest = new Guest(server.url, { stallMs: 300 });

    expect((await guest.files.read("/x")).toString()).toBe("xxxxxxxx");
  });
});

describe("an agent that knows only the plain paths of envd", () => {
  test("is brought to rest by them, and woken by /init", async () => {
    const calls: string[] = [];
    await using server = await plainServer((request, response) => {
      const { method, url = "" } = request;
      const isKnown = ["/snapshot/prepare", "/health", "/init"].includes(url);
      calls.push(isKnown ? `${method} ${url}` : url);
      response.writeHead(isKnown ? 204 : 404).end();
    });
    using guest = new Guest(server.url, { httpVersion: "1.1" });

    const result = await withSnapshot(guest, async () => {
      calls.push("freeze");
      return "frozen";
    });

    expect(result).toEqual({
      value: "frozen",
      prepared: undefined,
      prepareError: undefined,
      restored: undefined,
    });
    expect(calls).toEqual([
      "/snapshot.Snapshot/Prepare",
      "POST /snapshot/prepare",
      "freeze",
      "GET /health",
      "/snapshot.Snapshot/Restore",
      "POST /init",
    ]);
  });
});

describe("withSnapshot", () => {
  test("brings the guest to rest, and back when it runs again", async ({ agent }) => {
    using guest = new Guest(agent.url);
    using observer = new Guest(agent.url);
    await guest.process.list();
    const result = await withSnapshot(guest, async () => {
      await vi.waitFor(() => expect(agent.connections(), "nothing holds the guest").toBe(0));
      return "frozen";
    });
    const status = await observer.snapshot.status();

    expect(result).toMatchObject({
      value: "frozen",
      prepareError: undefined,
      prepared: { quiescent: true },
      restored: { generation: 2n, entropyAccepted: true },
    });
    expect(status).toMatchObject({ state: State.RUNNING, generation: 2n });
  });

  test("rolls back when the freeze fails, and throws its error", async ({ agent }) => {
    using guest = new Guest(agent.url);
    const program = await guest.process.start("cat", { stdin: true });
    const failure = new Error("the disk is full");

    await expect(withSnapshot(guest, () => Promise.reject(failure))).rejects.toBe(failure);
    expect((await guest.snapshot.status()).state).toBe(State.RUNNING);
    await program.sendInput(Buffer.from("still here"));
    await program.closeStdin();
    expect(await program.text(), "its stream lives").toMatchObject({ stdout: "still here" });
  });

  test("goes through the states in order, and back when the freeze fails", async ({ agent }) => {
    using guest = new Guest(agent.url);
    using observer = new Guest(agent.url);
    const leaving = new AbortController();
    const seen: (State | "freeze")[] = [];
    const watching = (async () => {
      for await (const { state } of observer.snapshot.watch(leaving.signal)) {
        if (seen.at(-1) !== state) seen.push(state);
      }
    })();
    await vi.waitFor(() => expect(seen).toEqual([State.RUNNING]));
    const freeze = async () => {
      await vi.waitFor(() => expect(seen.at(-1)).toBe(State.PREPARED));
      seen.push("freeze");
      throw new Error("the disk is full");
    };

    await expect(withSnapshot(guest, freeze)).rejects.toThrow("the disk is full");
    await vi.waitFor(() => expect(seen.at(-1)).toBe(State.RUNNING));
    leaving.abort();
    await watching;
    expect(seen.filter((state) => state !== State.RESTORING)).toEqual([
      State.RUNNING,
      State.PREPARING,
      State.PREPARED,
      "freeze",
      State.RUNNING,
    ]);
  });

  test("goes on with a machine that knows none of the connections", async () => {
    const before = await startTestAgent();
    const { port, url } = before;
    using guest = new Guest(url);
    const program = await guest.process.start("sleep", { args: ["1000"] });
    const waiting = expect(program.wait()).rejects.toThrow(Interrupted);
    const { value, restored } = await withSnapshot(guest, async () => {
      await before.close(0);
      return await startTestAgent({ port });
    });
    await using _after = value;

    await waiting;
    expect(restored).toMatchObject({ entropyAccepted: true });
    expect(await guest.process.list()).toEqual([]);
  });

  test("waits 3 s at most for a guest that does not answer Prepare", async () => {
    await using server = await silentServer();
    using guest = new Guest(server.url);
    const start = performance.now();

    await expect(guest.snapshot.prepare()).rejects.toMatchObject({ kind: "timeout" });
    expect(performance.now() - start).toBeGreaterThan(2_900);
    expect(performance.now() - start).toBeLessThan(4_000);
  });

  test("freezes all the same when the guest does not answer Prepare in time", async () => {
    await leavingNothing(async () => {
      await using server = await silentServer();
      using guest = new Guest(server.url);
      const start = performance.now();
      let wasFrozen = false;
      const freeze = async () => {
        wasFrozen = true;
        throw new Error("enough");
      };

      await expect(withSnapshot(guest, freeze)).rejects.toThrow();
      expect(wasFrozen).toBe(true);
      expect(performance.now() - start).toBeLessThan(15_000);
    });
  });
});
