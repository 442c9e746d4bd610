import { connect as connectHttp2 } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test, vi } from "vitest";
import { leavingNothing, startTestAgent } from "../helpers/agent.ts";
import { running, shell, text } from "../helpers/process.ts";
import { rawSocket } from "../helpers/raw-socket.ts";

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );

test("a closing agent tells open streams that it is unavailable", () =>
  leavingNothing(async () => {
    for (const transport of ["h1-json", "h2-proto", "grpc"] as const) {
      const agent = await startTestAgent();
      const sleep = await running(agent.process(transport), {
        process: { cmd: "sleep", args: ["100"] },
      });
      const rest = failureOf(sleep.rest());

      await Promise.all([
        vi.waitFor(async () => expect(await rest).toBeInstanceOf(ConnectError)),
        agent.close(),
      ]);

      expect(await rest).toMatchObject({
        code: Code.Unavailable,
        rawMessage: "the agent is shutting down",
      });
    }
  }));

test("a closing agent asks programs to end, and insists", () =>
  leavingNothing(async () => {
    const agent = await startTestAgent();
    const client = agent.process();
    const polite = await running(
      client,
      shell("trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done"),
    );
    const deaf = await running(
      client,
      shell("trap '' TERM; echo up; while :; do sleep 0.01; done"),
    );
    for (const program of [polite, deaf])
      await program.until((events) => text(events, "stdout") !== "");
    const rests = [failureOf(polite.rest()), failureOf(deaf.rest())];

    await agent.close(200);
    await Promise.all(rests);

    for (const { pid } of [polite, deaf]) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  }));

test("a closing agent closes every kind of connection", () =>
  leavingNothing(async () => {
    const agent = await startTestAgent();
    const silent = await rawSocket(agent.port);
    const idle = await rawSocket(agent.port);
    idle.socket.write("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    await vi.waitFor(() => expect(idle.received()).toContain("204"));
    const session = connectHttp2(agent.url);
    const goneAway = new Promise<void>((resolve) => session.once("goaway", () => resolve()));
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    const upload = await rawSocket(agent.port);
    upload.socket.write(
      "POST /process.Process/List HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    );
    await vi.waitFor(() => expect(agent.connections()).toBe(4));

    await agent.close(200);

    await Promise.all([silent.closed, idle.closed, upload.closed, goneAway]);
    expect(agent.connections()).toBe(0);
    session.destroy();
  }));

test("a closing agent ends an HTTP/1.1 connection with the answer it owes", () =>
  leavingNothing(async () => {
    const agent = await startTestAgent();
    const owed = await rawSocket(agent.port);
    owed.socket.write(
      `POST /files?path=${agent.directory}/owed HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n`,
    );
    await vi.waitFor(() => expect(owed.received()).toContain("100 Continue"));

    const closing = agent.close(20_000);
    owed.socket.write("ok");

    const answer = await owed.closed;
    expect(answer).toContain("HTTP/1.1 200 OK");
    expect(answer).toContain("Connection: close");
    await closing;
  }));

test("closing again does nothing, and a closed agent takes nothing more", () =>
  leavingNothing(async () => {
    const agent = await startTestAgent();

    await Promise.all([agent.close(), agent.close()]);
    await agent.close();

    await expect(fetch(`${agent.url}/health`)).rejects.toThrow();
  }));

test("a port that is taken is an error that leaves nothing running", () =>
  leavingNothing(async () => {
    const agent = await startTestAgent();
    const before = process.listenerCount("SIGCHLD");

    await expect(startTestAgent({ port: agent.port })).rejects.toThrow("EADDRINUSE");
    expect(process.listenerCount("SIGCHLD")).toBe(before);

    await agent.close();
  }));
