import { once } from "node:events";
import { connect, createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { pingSession } from "../../../src/net/session-bounds.ts";

test("a session that answers a PING is told of once, and one that is gone does not end the agent", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const [session] = (await once(server, "session")) as [ServerHttp2Session];
  let answers = 0;
  await new Promise<void>((resolve) => {
    pingSession(session, () => {
      answers += 1;
      resolve();
    });
  });
  session.destroy();

  expect(() => pingSession(session, () => (answers += 1))).not.toThrow();

  client.destroy();
  await new Promise((resolve) => server.close(resolve));
  expect(answers).toBe(1);
});
