import { afterEach, beforeEach, expect, test } from "vitest";
import { LogExport, withOrigin } from "../../../src/init/log-export.ts";
import { MetadataServer } from "../../helpers/metadata-server.ts";

const origin = { instanceId: "sandbox", templateId: "template" };

let server: MetadataServer;
let lines: LogExport;
beforeEach(async () => {
  server = await MetadataServer.start();
  lines = new LogExport();
});
afterEach(async () => {
  lines.close();
  await server[Symbol.asyncDispose]();
});

const messages = () => server.posts.map((body) => JSON.parse(body).message as string);
const line = (message: string) => `${JSON.stringify({ level: "info", message })}\n`;

test("lines wait for the destination and then go one by one, in order", async () => {
  for (const name of ["a", "b", "c"]) lines.write(line(name));
  expect(server.requests).toEqual([]);

  lines.sendTo({ address: `${server.url}/logs`, ...origin });
  lines.write(line("d"));

  await expect.poll(messages).toEqual(["a", "b", "c", "d"]);
  expect(JSON.parse(server.posts[0] as string)).toEqual({
    level: "info",
    message: "a",
    instanceID: "sandbox",
    envID: "template",
  });
  expect(server.requests[0]).toMatchObject({
    method: "POST",
    path: "/logs",
    headers: { "content-type": "application/json", connection: "close" },
  });
  await expect.poll(() => server.connections()).toBe(0);
});

test.for(["", "not a url"])("the address %j sends nothing", (address) => {
  lines.sendTo({ address, ...origin });
  lines.write(line("a"));

  expect(server.requests).toEqual([]);
});

test("a line that is refused is not sent again", async () => {
  server.postStatus = 500;
  lines.sendTo({ address: server.url, ...origin });
  lines.write(line("a"));
  lines.write(line("b"));

  await expect.poll(messages).toEqual(["a", "b"]);
});

test("a destination that is not there loses lines and nothing else", async () => {
  lines.sendTo({ address: "http://127.0.0.1:1", ...origin });
  lines.write(line("a"));
  lines.sendTo({ address: server.url, ...origin });
  lines.write(line("b"));

  await expect.poll(messages).toContain("b");
});

test("of more than 8 MiB the oldest are dropped, and overlong lines at once", async () => {
  const filler = "x".repeat(100 * 1024);
  for (let number = 0; number < 100; number += 1) lines.write(line(`${number} ${filler}`));
  lines.write(line("y".repeat(192 * 1024)));

  lines.sendTo({ address: server.url, ...origin });

  await expect.poll(() => messages().at(-1)?.slice(0, 3), { timeout: 4_500 }).toBe("99 ");
  expect(messages()[0]?.slice(0, 3)).toBe("19 ");
  expect(messages()).toHaveLength(81);
});

test("closing ends a post under way and forgets the rest", async () => {
  server.isSilent = true;
  lines.sendTo({ address: server.url, ...origin });
  lines.write(line("a"));
  lines.write(line("b"));
  await expect.poll(() => server.requests.length).toBe(1);

  lines.close();
  lines.write(line("c"));

  await expect.poll(() => server.connections()).toBe(0);
  expect(server.requests).toHaveLength(1);
});

test.for([
  ["{}\n", '{"instanceID":"sandbox","envID":"template"}'],
  ['{"a":{}}', '{"a":{},"instanceID":"sandbox","envID":"template"}'],
] as const)("%j tells where it comes from", ([text, expected]) => {
  expect(withOrigin(text, { address: "", ...origin })).toBe(expected);
});
