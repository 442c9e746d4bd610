import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { gunzipSync } from "node:zlib";
import { describe, expect } from "vitest";
import { test } from "../helpers/agent.ts";
import { ask, filesPath, httpVersions, type RequestOptions } from "../helpers/requests.ts";

const DATE = "Sun, 06 Nov 1994 08:49:37 GMT";
const MIB = 1024 * 1024;

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function jsonError(message: string | RegExp) {
  return {
    code: expect.any(Number),
    message: typeof message === "string" ? message : expect.stringMatching(message),
  };
}

describe.for(httpVersions)("over %s, a download", (version) => {
  test("is the file with its length, type, name and date", async ({ agent }) => {
    writeFileSync(`${agent.directory}/a b.txt`, "hello");
    utimesSync(`${agent.directory}/a b.txt`, 0, Date.parse(DATE) / 1000 + 0.7);

    const answer = await ask(version, agent.url, {
      path: filesPath({ path: `${agent.directory}/a b.txt` }),
    });

    expect(answer).toMatchObject({ status: 200, text: "hello" });
    expect(answer.headers).toMatchObject({
      "accept-ranges": "bytes",
      "cache-control": "no-store",
      "content-disposition": 'inline; filename="a b.txt"',
      "content-length": "5",
      "content-type": "text/plain; charset=utf-8",
      "last-modified": DATE,
      vary: "Accept-Encoding",
    });
    expect(answer.headers).not.toHaveProperty("content-encoding");
    expect(answer.headers).not.toHaveProperty("etag");
  });

  test.for([
    ["a.html", "gzip", "sandbox allow-scripts"],
    ["a.svg", "identity", "sandbox allow-scripts"],
    ["page", "identity", "sandbox allow-scripts"],
    ["a.txt", "identity", undefined],
    ["page", "gzip", undefined],
  ] as const)(
    "of %s as %s is no page of the agent",
    async ([name, encoding, policy], { agent }) => {
      writeFileSync(`${agent.directory}/${name}`, "<html><script>1</script></html>");

      const { headers } = await ask(version, agent.url, {
        path: filesPath({ path: `${agent.directory}/${name}` }),
        headers: { "accept-encoding": encoding },
      });

      expect(headers["x-content-type-options"]).toBe("nosniff");
      expect(headers["content-security-policy"]).toBe(policy);
    },
  );

  test("of an empty file says that its length is 0", async ({ agent }) => {
    writeFileSync(`${agent.directory}/empty`, "");

    const answer = await ask(version, agent.url, {
      path: filesPath({ path: `${agent.directory}/empty` }),
    });

    expect(answer).toMatchObject({ status: 200, text: "" });
    expect(answer.headers["content-length"]).toBe("0");
  });

  test.for([1, 65_535, 65_536, 65_537, 1_114_112, 1_114_113, 5 * MIB + 1])(
    "of %d bytes is exact",
    async (size, { agent }) => {
      const content = randomBytes(size);
      writeFileSync(`${agent.directory}/f`, content);
      const path = filesPath({ path: `${agent.directory}/f` });

      const plain = await ask(version, agent.url, { path });
      const packed = await ask(version, agent.url, {
        path,
        headers: { "accept-encoding": "gzip" },
      });

      expect(plain.body.equals(content)).toBe(true);
      expect(plain.headers["content-length"]).toBe(String(size));
      expect(gunzipSync(packed.body).equals(content)).toBe(true);
      expect(packed.headers["content-encoding"]).toBe("gzip");
      for (const name of ["content-length", "accept-ranges", "last-modified"]) {
        expect(packed.headers).not.toHaveProperty(name);
      }
    },
  );

  test("finds its path from the user's home, or the default directory", async ({ agent, user }) => {
    const name = `from-home-${version}`;
    writeFileSync(`${user.home}/${name}`, "x");
    try {
      const ofUser = { path: name, username: user.name };

      expect(await ask(version, agent.url, { path: filesPath(ofUser) })).toMatchObject({
        status: 200,
      });
      expect(
        await ask(version, agent.url, {
          path: filesPath({ path: `~/${name}`, username: user.name }),
        }),
      ).toMatchObject({ status: 200 });
      expect(await ask(version, agent.url, { path: filesPath({ path: name }) })).toMatchObject({
        status: 404,
      });
    } finally {
      execFileSync("rm", [`${user.home}/${name}`]);
    }
  });

  test("cannot name what no text can name", async ({ agent }) => {
    execFileSync("bash", ["-c", `printf x > "$1"/$'\\xff'`, "-", agent.directory]);
    const path = `/files?path=${agent.directory}/%FF`;

    expect(await ask(version, agent.url, { path })).toMatchObject({ status: 404 });
  });

  test("names files with any other name", async ({ agent }) => {
    for (const name of ["new\nline", "日本.txt", 'q"uo\\te', "%41", "a+b&c"]) {
      writeFileSync(`${agent.directory}/${name}`, name);

      const answer = await ask(version, agent.url, {
        path: filesPath({ path: `${agent.directory}/${name}` }),
      });

      expect(answer).toMatchObject({ status: 200, text: name });
    }
  });

  describe("is refused:", () => {
    test.for<[string, number, string | RegExp, RequestOptions["headers"]?]>([
      ["path=%D/nothing", 404, "path '%D/nothing' does not exist"],
      ["path=%D/broken", 404, "path '%D/broken' does not exist"],
      ["path=%D", 400, "path '%D' is a directory"],
      ["", 400, /^path '.*' is a directory$/],
      ["path=%D/fifo", 400, "path '%D/fifo' is a named pipe"],
      ["path=%D/socket", 400, "path '%D/socket' is a socket"],
      ["path=/dev/zero", 400, "path '/dev/zero' is a character device"],
      ["path=%D/device", 400, "path '%D/device' is a character device"],
      ["path=%D/f%00g", 400, /^error expanding and resolving path '.*f\0g': /],
      [
        "path=~nobody/f",
        400,
        /^error expanding and resolving path '~nobody\/f': failed to expand path/,
      ],
      ["path=%D/loop", 500, /^error checking if path exists '.*loop': ELOOP/],
      ["path=%D/f/g", 500, /^error checking if path exists '.*f\/g': ENOTDIR/],
      [`path=%D/${"n".repeat(300)}`, 500, /ENAMETOOLONG/],
      ["path=%D/f&username=ghost", 401, "error looking up user 'ghost': user: unknown user ghost"],
      ["path=%D/f&username=", 401, "error looking up user '': user: unknown user "],
      [
        "path=%D/f",
        406,
        "error parsing Accept-Encoding: no acceptable encoding found, supported: [gzip]",
        { "accept-encoding": "identity;q=0" },
      ],
      [
        "path=%D/f",
        406,
        "identity encoding not acceptable for Range or conditional request",
        { "accept-encoding": "gzip, identity;q=0", range: "bytes=0-0" },
      ],
      [
        "path=%D/nothing",
        404,
        "path '%D/nothing' does not exist",
        { "accept-encoding": "identity;q=0" },
      ],
    ])("%s is a %d", async ([query, status, message, headers], { agent }) => {
      const at = (text: string) => text.replaceAll("%D", agent.directory);
      writeFileSync(at("%D/f"), "x");
      symlinkSync("nowhere", at("%D/broken"));
      symlinkSync("loop", at("%D/loop"));
      symlinkSync("/dev/zero", at("%D/device"));
      execFileSync("mkfifo", [at("%D/fifo")]);
      const socket = createServer().listen(at("%D/socket"));
      await once(socket, "listening");

      const answer = await ask(version, agent.url, {
        path: `/files?${at(query)}`,
        headers: headers ?? {},
      });
      socket.close();

      expect(answer.status).toBe(status);
      expect(answer.headers["content-type"]).toBe("application/json; charset=utf-8");
      expect(answer.text.endsWith("\n")).toBe(true);
      expect(JSON.parse(answer.text)).toEqual({
        ...jsonError(typeof message === "string" ? at(message) : message),
        code: status,
      });
    });
  });

  test("follows links", async ({ agent }) => {
    writeFileSync(`${agent.directory}/real`, "x");
    symlinkSync("real", `${agent.directory}/link.html`);

    const answer = await ask(version, agent.url, {
      path: filesPath({ path: `${agent.directory}/link.html` }),
    });

    expect(answer).toMatchObject({ status: 200, text: "x" });
    expect(answer.headers["content-type"]).toBe("text/html; charset=utf-8");
  });

  test.for(["/proc/version", "/proc/self/status", "/sys/kernel/mm/transparent_hugepage/enabled"])(
    "of the kernel's %s has the length it has",
    async (path, { agent }) => {
      const answer = await ask(version, agent.url, { path: filesPath({ path }) });

      expect(answer.status).toBe(200);
      expect(answer.body.length).toBeGreaterThan(10);
      expect(answer.headers["content-length"]).toBe(String(answer.body.length));
    },
  );
});

test.for(httpVersions)("100 MB come back as they were sent over %s", async (version, { agent }) => {
  const content = randomBytes(100_000_000);
  const path = filesPath({ path: `${agent.directory}/big` });
  const sent = await ask(version, agent.url, {
    method: "POST",
    path,
    headers: { "content-type": "application/octet-stream" },
    body: content,
  });

  const answer = await ask(version, agent.url, { path });

  expect(sent.status).toBe(200);
  expect(hash(answer.body)).toBe(hash(content));
});

test("many small files can be read at once", async ({ agent }) => {
  mkdirSync(`${agent.directory}/many`);
  const names = Array.from({ length: 200 }, (_, index) => `${agent.directory}/many/${index}`);
  for (const name of names) writeFileSync(name, name);

  const answers = await Promise.all(names.map((path) => fetch(agent.url + filesPath({ path }))));

  expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(names);
});
