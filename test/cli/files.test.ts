import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, vi } from "vitest";
import { LocalPlace } from "../../src/client/copy/local-place.ts";
import { test } from "../helpers/agent.ts";
import { CuttingProxy } from "../helpers/cutting-proxy.ts";
import { RunningThaw, thaw } from "../helpers/thaw.ts";

describe("the files of a guest", () => {
  test("are listed, in words, in numbers and as JSON", async ({ agent }) => {
    const { directory } = agent;
    mkdirSync(join(directory, "in/sub"), { recursive: true });
    writeFileSync(join(directory, "in/file\x1b"), Buffer.alloc(1_536), { mode: 0o640 });
    symlinkSync("sub", join(directory, "in/link"));
    const at = `${agent.url}:${directory}/in`;

    const plain = await thaw(["ls", at]);
    const long = await thaw(["ls", "-l", at]);
    const bytes = await thaw(["ls", "-lb", agent.url, join(directory, "in")]);
    const json = await thaw(["ls", "--json", at]);

    expect(plain.stdout).toBe("file\\x1b\nlink/\nsub/\n");
    expect(long.stdout).toMatch(/-rw-r----- +root +root +1\.5K +\d{4}-\S+ \S+ +file\\x1b\n/);
    expect(long.stdout).toContain("link -> ");
    expect(bytes.stdout).toMatch(/ 1536 /);
    expect(JSON.parse(json.stdout)).toContainEqual(
      expect.objectContaining({ name: "sub", type: "directory" }),
    );
  });

  test("are read, made, moved and removed", async ({ agent }) => {
    const at = (path: string) => `${agent.url}:${agent.directory}/${path}`;
    writeFileSync(join(agent.directory, "one"), "1");
    writeFileSync(join(agent.directory, "two"), "2");

    const cat = await thaw(["cat", at("one"), join(agent.directory, "two")]);
    const mkdir = await thaw(["mkdir", at("a/b")]);
    const again = await thaw(["mkdir", at("a/b")]);
    const mv = await thaw(["mv", at("one"), join(agent.directory, "a/b/three")]);
    const refused = await thaw(["rm", at("a")]);
    const gone = await thaw(["rm", at("none")]);
    const rm = await thaw(["rm", "-rf", at("a"), join(agent.directory, "none")]);

    expect(cat).toMatchObject({ code: 0, stdout: "12" });
    expect([mkdir.code, again.code, mv.code]).toEqual([0, 1, 0]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("rm -r") });
    expect(gone.code).toBe(1);
    expect(rm.code).toBe(0);
    expect(existsSync(join(agent.directory, "a"))).toBe(false);
  });

  test("are not held in memory, and not read further than somebody reads", async ({ agent }) => {
    const path = join(agent.directory, "large");
    writeFileSync(path, "");
    truncateSync(path, 128 * 1024 * 1024);
    await using proxy = await CuttingProxy.start(agent.port);
    await using running = new RunningThaw(["cat", `${proxy.url}:${path}`]);
    running.child.stdout.pause();
    let before = -1;
    await vi.waitFor(
      () => {
        const isStill = proxy.bytesDown > 0 && proxy.bytesDown === before;
        before = proxy.bytesDown;
        expect(isStill).toBe(true);
      },
      { timeout: 20_000, interval: 500 },
    );

    expect(proxy.bytesDown).toBeLessThan(64 * 1024 * 1024);
    running.child.stdout.destroy();
    expect(await running.exited).toBe(141);
    expect(running.stderr).toBe("");
  });

  test("are written to stdout whole when they are cut off on the way", async ({ agent }) => {
    const content = randomBytes(8 * 1024 * 1024);
    writeFileSync(join(agent.directory, "file"), content);
    await using proxy = await CuttingProxy.start(agent.port);
    let next = 2 * 1024 * 1024;
    proxy.onBytes = () => {
      if (proxy.bytesDown < next) return;
      next += 3 * 1024 * 1024;
      proxy.cut("reset");
    };

    const { code, bytes } = await thaw(["cat", `${proxy.url}:${agent.directory}/file`]);

    expect(code).toBe(0);
    expect(proxy.taken).toBeGreaterThan(1);
    expect(bytes.equals(content)).toBe(true);
  });

  test("end the watch when nobody reads it any more", async ({ agent }) => {
    const watched = join(agent.directory, "watched");
    mkdirSync(watched);
    await using running = new RunningThaw(["watch", `${agent.url}:${watched}`]);
    await vi.waitFor(() => expect(running.stderr).toContain("watching"), { timeout: 20_000 });

    running.child.stdout.destroy();
    writeFileSync(join(watched, "new"), "x");

    expect(await running.exited).toBe(141);
  });

  test("are watched, line by line", async ({ agent }) => {
    const watched = join(agent.directory, "watched");
    mkdirSync(join(watched, "sub"), { recursive: true });
    await using running = new RunningThaw(["watch", "--json", "-r", `${agent.url}:${watched}`]);
    await vi.waitFor(() => expect(running.stderr).toContain("watching"), { timeout: 20_000 });

    writeFileSync(join(watched, "sub/new"), "x");

    await vi.waitFor(
      () => {
        const changes = running.stdout.split("\n").filter((line) => line !== "");
        expect(changes.map((line) => JSON.parse(line))).toContainEqual({
          kind: "create",
          name: "sub/new",
        });
      },
      { timeout: 20_000 },
    );
    running.child.kill("SIGINT");
    expect(await running.exited).toBe(0);
  });
});

describe("a directory that a guest fills", () => {
  test("is not left, neither by names nor through links", ({ agent }) => {
    const place = new LocalPlace(join(agent.directory, "place"));
    mkdirSync(join(agent.directory, "outside"));
    symlinkSync("../outside", join(agent.directory, "place/link"));

    for (const path of ["../x", "/etc/x", "a/../../x", "./x", "", "a//b", "x\0"]) {
      expect(() => place.pathOf(path)).toThrow("the guest calls a file");
    }
    expect(() => place.pathOf("link/x")).toThrow("is no directory");
    expect(() => place.pathOf("missing/x")).toThrow("is no directory");
    expect(place.pathOf("x")).toBe(join(agent.directory, "place/x"));
    expect(readdirSync(join(agent.directory, "outside"))).toEqual([]);
  });
});
