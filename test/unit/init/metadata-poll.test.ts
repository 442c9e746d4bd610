import { afterEach, beforeEach, expect, test } from "vitest";
import { MetadataPoll } from "../../../src/init/metadata-poll.ts";
import { type Metadata, MetadataService } from "../../../src/init/metadata-service.ts";
import { MetadataServer } from "../../helpers/metadata-server.ts";

let server: MetadataServer;
let seen: Metadata[];
let poll: MetadataPoll;
beforeEach(async () => {
  server = await MetadataServer.start();
  seen = [];
  poll = new MetadataPoll(new MetadataService(server.url), async (metadata) => {
    seen.push(metadata);
  });
});
afterEach(async () => {
  await poll.close();
  await server[Symbol.asyncDispose]();
});

const lookups = () => server.requests.filter(({ method }) => method === "PUT").length;

test("it asks until there is a sandbox, and not once more", async () => {
  poll.start();
  await expect.poll(lookups).toBeGreaterThanOrEqual(2);
  expect(seen).toEqual([]);
  server.data = { instanceID: "", envID: "template" };
  const before = lookups();
  await expect.poll(lookups).toBeGreaterThanOrEqual(before + 2);
  expect(seen).toEqual([]);

  server.data = { instanceID: "sandbox", envID: "template" };
  await expect.poll(() => seen).toMatchObject([{ instanceId: "sandbox" }]);
  await poll.close();

  const after = lookups();
  expect(seen).toHaveLength(1);
  expect(lookups()).toBe(after);
});

test("starting again ends the poll before", async () => {
  server.isSilent = true;
  poll.start();
  await expect.poll(lookups).toBe(1);
  server.isSilent = false;
  server.data = { instanceID: "sandbox" };

  poll.start();

  await expect.poll(() => seen).toHaveLength(1);
  await poll.close();
  expect(seen).toHaveLength(1);
});

test("closing ends a lookup under way", async () => {
  server.isSilent = true;
  poll.start();
  await expect.poll(lookups).toBe(1);

  await poll.close();
  await poll.close();

  await expect.poll(() => server.connections()).toBe(0);
});
