import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HostsFile, withMapping } from "../../../src/init/hosts-file.ts";

const NAME = "events.e2b.local";

test.for([
  ["", "10.0.0.1\tevents.e2b.local\n"],
  ["127.0.0.1 localhost\n", "127.0.0.1 localhost\n10.0.0.1\tevents.e2b.local\n"],
  ["127.0.0.1 localhost", "127.0.0.1 localhost\n10.0.0.1\tevents.e2b.local\n"],
  ["10.9.9.9 events.e2b.local\n", "10.0.0.1\tevents.e2b.local\n"],
  ["10.9.9.9 EVENTS.e2b.LOCAL\n", "10.0.0.1\tevents.e2b.local\n"],
  ["10.9.9.9 events.e2b.local # why\n", "# why\n10.0.0.1\tevents.e2b.local\n"],
  [
    "10.9.9.9 a events.e2b.local b # why # not\n\n::1 localhost\n",
    "10.9.9.9\ta b # why # not\n\n::1 localhost\n10.0.0.1\tevents.e2b.local\n",
  ],
  [
    "10.0.0.1\tevents.e2b.local\n127.0.0.1 x\n10.0.0.1\tevents.e2b.local\n10.9.9.9 events.e2b.local\n",
    "10.0.0.1\tevents.e2b.local\n127.0.0.1 x\n",
  ],
  [
    "# 10.9.9.9 events.e2b.local\n10.9.9.9 my.events.e2b.local\n",
    "# 10.9.9.9 events.e2b.local\n10.9.9.9 my.events.e2b.local\n10.0.0.1\tevents.e2b.local\n",
  ],
])("%j becomes %j", ([before, after]) => {
  expect(withMapping(before as string, NAME, "10.0.0.1")).toBe(after);
  expect(withMapping(after as string, NAME, "10.0.0.1")).toBe(after);
});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "thaw-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("many mappings at once end in the last, which is whole", async () => {
  const path = join(directory, "hosts");
  writeFileSync(path, Buffer.from("127.0.0.1 localhost # \xe9\xff\n", "latin1"));
  const hosts = new HostsFile(path);

  const addresses = Array.from({ length: 200 }, (_, number) => `10.0.0.${number}`);
  await Promise.all(addresses.map((address) => hosts.map(NAME, address)));

  expect(readFileSync(path, "latin1")).toBe(
    "127.0.0.1 localhost # \xe9\xff\n10.0.0.199\tevents.e2b.local\n",
  );
});

test("a file that says it already is not written", async () => {
  const path = join(directory, "hosts");
  const hosts = new HostsFile(path);
  await hosts.map(NAME, "10.0.0.1");
  const before = statSync(path);

  await hosts.map(NAME, "10.0.0.1");

  expect(statSync(path).ino).toBe(before.ino);
  expect(statSync(path).mtimeMs).toBe(before.mtimeMs);
});
