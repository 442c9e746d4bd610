import {
  chmodSync,
  existsSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { Code } from "@connectrpc/connect";
import { describe, expect } from "vitest";
import { FileType } from "../../gen/filesystem/filesystem_pb.js";
import { describeTransports, test } from "../helpers/agent.ts";
import { bytesPath, failureOf, makeTree } from "../helpers/filesystem.ts";
import { basic } from "../helpers/process.ts";
import { ask } from "../helpers/requests.ts";

describeTransports("the filesystem service", (transport) => {
  test("describes a file in full", async ({ agent }) => {
    const path = `${agent.directory}/note`;
    writeFileSync(path, "twelve bytes");
    chmodSync(path, 0o4640);
    const { mtimeMs } = statSync(path);

    const { entry } = await agent.filesystem(transport).stat({ path });

    expect(entry).toMatchObject({
      name: "note",
      path,
      type: FileType.FILE,
      size: 12n,
      mode: 0o640,
      permissions: "urw-r-----",
      owner: "root",
      group: "root",
      metadata: {},
    });
    expect(entry?.modifiedTime?.seconds).toBe(BigInt(Math.floor(mtimeMs / 1000)));
    expect(entry).not.toHaveProperty("symlinkTarget", expect.anything());
  });

  test("describes a link by its target, and a broken one by itself", async ({ agent }) => {
    makeTree(agent.directory, "real/");
    symlinkSync("real", `${agent.directory}/link`);
    symlinkSync("nothing", `${agent.directory}/broken`);
    const client = agent.filesystem(transport);

    const { entry: link } = await client.stat({ path: `${agent.directory}/link` });
    const { entry: broken } = await client.stat({ path: `${agent.directory}/broken` });

    expect(link).toMatchObject({
      type: FileType.DIRECTORY,
      permissions: "Lrwxrwxrwx",
      symlinkTarget: `${agent.directory}/real`,
    });
    expect(broken).toMatchObject({
      type: FileType.UNSPECIFIED,
      mode: 0,
      symlinkTarget: `${agent.directory}/broken`,
    });
  });

  test("makes, lists, moves and removes", async ({ agent }) => {
    const client = agent.filesystem(transport);
    const root = `${agent.directory}/root`;

    const made = await client.makeDir({ path: `${root}/a/b` });
    writeFileSync(`${root}/a/b/file`, "x");
    const moved = await client.move({ source: `${root}/a/b`, destination: `${root}/c/d` });
    const listed = await client.listDir({ path: root, depth: 3 });
    await client.remove({ path: root });
    await client.remove({ path: root });

    expect(made.entry).toMatchObject({ name: "b", path: `${root}/a/b`, type: FileType.DIRECTORY });
    expect(moved.entry).toMatchObject({ name: "d", path: `${root}/c/d` });
    expect(listed.entries.map(({ path }) => path.slice(root.length))).toEqual([
      "/a",
      "/c",
      "/c/d",
      "/c/d/file",
    ]);
    expect(existsSync(root)).toBe(false);
  });

  test("lists names that are no UTF-8", async ({ agent }) => {
    writeFileSync(bytesPath(`${agent.directory}/\xff`), "");

    const { entries } = await agent.filesystem(transport).listDir({ path: agent.directory });

    expect(entries.map(({ name }) => name)).toContain("\ufffd");
  });

  test("leaves a time out that the wire cannot say", async ({ agent }) => {
    const path = `/dev/shm/thaw-test-${process.pid}`;
    writeFileSync(path, "");
    try {
      utimesSync(path, 0, 400_000_000_000);

      const { entry } = await agent.filesystem(transport).stat({ path });

      expect(entry).toMatchObject({ path, type: FileType.FILE });
      expect(entry?.modifiedTime).toBeUndefined();
    } finally {
      unlinkSync(path);
    }
  });

  test.for([
    ["stat", "file not found: "],
    ["listDir", "path not found: "],
  ] as const)("%s of a missing path is not found", async ([method, words], { agent }) => {
    const failure = await failureOf(agent.filesystem(transport)[method]({ path: "/no/such" }));

    expect(failure).toMatchObject({
      code: Code.NotFound,
      message: expect.stringMatching(`^${words}.*/no/such`),
    });
  });
});

describe("the filesystem service", () => {
  test("begins relative paths at the home of the user, whom new directories belong to", async ({
    agent,
    user,
  }) => {
    const client = agent.filesystem();
    const headers = basic(user.name);
    await client.remove({ path: "~/thaw-test" }, { headers });

    const made = await client.makeDir({ path: "thaw-test/sub" }, { headers });
    const listed = await client.listDir({ path: "./thaw-test/../thaw-test" }, { headers });
    const moved = await client.move(
      { source: "~/thaw-test/sub", destination: "thaw-test/deep/er" },
      { headers },
    );
    await client.remove({ path: "~/thaw-test" }, { headers });

    expect(made.entry).toMatchObject({
      path: `${user.home}/thaw-test/sub`,
      owner: user.name,
      permissions: "drwxr-xr-x",
    });
    expect(listed.entries.map(({ path }) => path)).toEqual([`${user.home}/thaw-test/sub`]);
    expect(moved.entry).toMatchObject({ path: `${user.home}/thaw-test/deep/er` });
  });

  test("refuses what cannot be made, moved, listed or removed", async ({ agent }) => {
    const client = agent.filesystem();
    const root = agent.directory;
    makeTree(root, "file", "full/x");
    symlinkSync("loop", `${root}/loop`);
    const cases = [
      [
        () => client.makeDir({ path: root }),
        Code.AlreadyExists,
        `directory already exists: ${root}`,
      ],
      [
        () => client.makeDir({ path: `${root}/file` }),
        Code.InvalidArgument,
        `path already exists but it is not a directory: ${root}/file`,
      ],
      [
        () => client.makeDir({ path: `${root}/file/x` }),
        Code.Internal,
        "error getting file info: ",
      ],
      [
        () => client.move({ source: `${root}/none`, destination: `${root}/x` }),
        Code.NotFound,
        "source file not found: ",
      ],
      [
        () => client.move({ source: `${root}/file`, destination: `${root}/full` }),
        Code.Internal,
        "error renaming: ",
      ],
      [
        () => client.listDir({ path: `${root}/file` }),
        Code.InvalidArgument,
        `path is not a directory: ${root}/file`,
      ],
      [
        () => client.listDir({ path: `${root}/loop` }),
        Code.FailedPrecondition,
        `cyclic symlink or chain >255 links at "${root}/loop"`,
      ],
      [() => client.remove({ path: "/" }), Code.Internal, "error removing file or directory: "],
      [() => client.stat({ path: `${root}/file/x` }), Code.Internal, "error getting file info: "],
    ] as const;

    for (const [call, code, words] of cases) {
      const failure = await failureOf(call());
      expect(failure.code).toBe(code);
      expect(failure.message.startsWith(words)).toBe(true);
    }
  });

  test("refuses paths that mean nothing, in every call", async ({ agent }) => {
    const client = agent.filesystem();
    const calls = (path: string) => [
      () => client.stat({ path }),
      () => client.listDir({ path }),
      () => client.makeDir({ path }),
      () => client.remove({ path }),
      () => client.move({ source: path, destination: "x" }),
      () => client.move({ source: "x", destination: path }),
      () => client.createWatcher({ path }),
    ];

    for (const call of calls("~somebody/x")) {
      expect(await failureOf(call())).toEqual({
        code: Code.InvalidArgument,
        message:
          "failed to expand path '~somebody/x' for user 'root': cannot expand user-specific home dir",
      });
    }
    for (const call of calls("/a\0b")) {
      expect(await failureOf(call())).toMatchObject({
        code: Code.InvalidArgument,
        message: expect.stringContaining("NUL byte"),
      });
    }
  });

  test("refuses a user that does not exist", async ({ agent }) => {
    const failure = await failureOf(
      agent.filesystem().stat({ path: "/" }, { headers: basic("nobody-here") }),
    );

    expect(failure).toEqual({
      code: Code.Unauthenticated,
      message: "invalid username: 'nobody-here'",
    });
  });

  test.for([
    ['{"path":7}', 400],
    ['{"path":null}', 200],
    ['{"path":"/","unknown":{"x":1}}', 200],
    ["[]", 400],
    ['{"path":"/"', 400],
    ["", 400],
  ] as const)("answers the body %s with %i", async ([body, status], { agent }) => {
    const answer = await ask("h1", agent.url, {
      method: "POST",
      path: "/filesystem.Filesystem/Stat",
      headers: { "Content-Type": "application/json" },
      body,
    });

    expect(answer.status).toBe(status);
  });

  test("tells old clients name, type and path only, and says so", async ({ agent }) => {
    makeTree(agent.directory, "sub/file");
    const call = (userAgent: string) =>
      ask("h1", agent.url, {
        method: "POST",
        path: "/filesystem.Filesystem/ListDir",
        headers: { "Content-Type": "application/json", "User-Agent": userAgent },
        body: JSON.stringify({ path: `${agent.directory}/sub` }),
      });

    const old = await call("connect-python");
    const current = await call("connect-python/0.5");

    expect(JSON.parse(old.text)).toEqual({
      entries: [{ name: "file", type: "FILE_TYPE_FILE", path: `${agent.directory}/sub/file` }],
    });
    expect(old.headers["x-e2b-legacy-sdk"]).toBe("true");
    expect(JSON.parse(current.text).entries[0]).toHaveProperty("permissions", "-rw-r--r--");
    expect(current.headers).not.toHaveProperty("x-e2b-legacy-sdk");
  });
});
