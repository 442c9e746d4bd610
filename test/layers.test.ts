import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";

/** Which room may import which, and which packages. The drawing in docs/architecture.md, as code. */
const ROOMS: Record<string, { rooms: string[]; packages: string[] }> = {
  "errors.ts": { rooms: [], packages: [] },
  "log.ts": { rooms: ["lib"], packages: ["pino"] },
  lib: { rooms: ["errors.ts"], packages: ["node:"] },
  system: { rooms: ["lib", "errors.ts", "log.ts"], packages: ["node:", "koffi"] },
  net: { rooms: ["lib", "errors.ts", "log.ts", "system"], packages: ["node:"] },
  process: { rooms: ["system", "lib", "errors.ts"], packages: ["node:"] },
  filesystem: { rooms: ["system", "lib", "errors.ts"], packages: ["node:"] },
  init: { rooms: ["system", "lib", "errors.ts", "log.ts"], packages: ["node:"] },
  ports: { rooms: ["system", "lib", "errors.ts", "log.ts"], packages: ["node:"] },
  snapshot: { rooms: ["system", "lib", "errors.ts", "log.ts"], packages: ["node:"] },
  services: {
    rooms: [
      "process",
      "filesystem",
      "init",
      "ports",
      "snapshot",
      "system",
      "lib",
      "errors.ts",
      "gen",
    ],
    packages: ["@bufbuild/protobuf", "@connectrpc/connect"],
  },
  http: {
    rooms: ["filesystem", "init", "snapshot", "system", "lib", "errors.ts"],
    packages: ["node:", "@fastify/busboy"],
  },
  rpc: {
    rooms: [
      "services",
      "http",
      "net",
      "process",
      "init",
      "system",
      "lib",
      "errors.ts",
      "log.ts",
      "gen",
    ],
    packages: ["node:", "@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-node"],
  },
  "config.ts": { rooms: ["init"], packages: ["node:"] },
  "snapshot-parts.ts": {
    rooms: ["net", "process", "init", "ports", "snapshot", "system", "lib", "log.ts", "config.ts"],
    packages: [],
  },
  "agent.ts": {
    rooms: [
      "snapshot",
      "snapshot-parts.ts",
      "rpc",
      "services",
      "http",
      "net",
      "process",
      "filesystem",
      "init",
      "ports",
      "system",
      "lib",
      "errors.ts",
      "log.ts",
      "config.ts",
      "gen",
    ],
    packages: ["node:", "@connectrpc/connect"],
  },
  client: {
    rooms: ["lib", "gen"],
    packages: ["node:", "@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-node"],
  },
  web: {
    rooms: ["client", "gen"],
    packages: [
      "@bufbuild/protobuf",
      "@connectrpc/connect",
      "@connectrpc/connect-web",
      "@noble/hashes",
      "@xterm/addon-fit",
      "@xterm/addon-search",
      "@xterm/addon-unicode11",
      "@xterm/addon-web-links",
      "@xterm/xterm",
    ],
  },
  cli: {
    rooms: ["agent.ts", "client", "config.ts", "log.ts", "system", "lib", "gen"],
    packages: ["node:", "@bufbuild/protobuf", "commander"],
  },
  "main.ts": {
    rooms: ["cli", "config.ts", "lib", "log.ts"],
    packages: ["node:"],
  },
};

/** Packages that one file alone may know. */
const ONLY_IN: Record<string, string[]> = {
  koffi: ["src/system/libc.ts"],
  "@fastify/busboy": ["src/http/multipart.ts"],
  // One serves, the other calls.
  "@connectrpc/connect-node": ["src/client/transport.ts", "src/rpc/adapter.ts"],
  "@connectrpc/connect-web": ["src/web/link.ts"],
  pino: ["src/log.ts"],
  commander: ["src/cli/host.ts"],
};

/**
 * What may be had of node:crypto: what draws nothing. Its generators, and those of V8, live in the
 * process's memory and are the same in every clone of a snapshot; `src/system/random.ts` asks the
 * kernel.
 */
const DRAWS_NOTHING = ["createHash", "createPrivateKey", "timingSafeEqual", "X509Certificate"];

/** What programs on the host import. */
const PUBLIC_DOOR = "src/client/index.ts";

/** Words that name no thing: a file is called after what it holds. */
const FORBIDDEN_NAMES =
  /^(utils?|helpers?|common|misc|types?|constants?|managers?|handlers?|base|index)$/;

interface Source {
  path: string;
  room: string;
  text: string;
  imports: { from: string; room: string | undefined }[];
}

const roomOf = (path: string) =>
  path.startsWith("src/") ? (path.split("/")[1] ?? "") : (path.split("/")[0] ?? "");

function read(path: string): Source {
  const text = readFileSync(path, "utf8");
  const imports = [
    ...text.matchAll(
      /^(?:import|export)\b[^"';]*?from "([^"]+)"|^import "([^"]+)"|\b(?:import|require)\(\s*"([^"]+)"/gm,
    ),
  ].map((match) => {
    const from = match[1] ?? match[2] ?? match[3] ?? "";
    return {
      from,
      room: from.startsWith(".") ? roomOf(normalize(join(dirname(path), from))) : undefined,
    };
  });
  return { path, room: roomOf(path), text, imports };
}

const sources = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => read(join("src", name)));

const packageOf = (from: string) =>
  from.startsWith("node:")
    ? "node:"
    : from
        .split("/")
        .slice(0, from.startsWith("@") ? 2 : 1)
        .join("/");

describe("a room", () => {
  const rooms = [...new Set(sources.map(({ room }) => room))];

  test.for(rooms)("%s is on the drawing", (room) => {
    expect(Object.keys(ROOMS)).toContain(room);
  });

  test.for(rooms)("%s imports only the rooms and packages it may", (room) => {
    const may = ROOMS[room] ?? { rooms: [], packages: [] };
    const strays = sources
      .filter((source) => source.room === room)
      .flatMap(({ path, imports }) => imports.map((one) => ({ path, ...one })))
      .filter((one) =>
        one.room === undefined
          ? !may.packages.includes(packageOf(one.from))
          : one.room !== room && !may.rooms.includes(one.room),
      );

    expect(strays).toEqual([]);
  });
});

/** Files of the client that a browser runs as well: what the page imports of it, and so on. */
const inBrowsers = (from: string[]): string[] => {
  const found = new Set<string>();
  const visit = (path: string) => {
    if (found.has(path)) return;
    found.add(path);
    const { imports = [] } = sources.find((source) => source.path === path) ?? {};
    for (const one of imports) {
      if (one.from.startsWith(".") && one.from.endsWith(".ts")) {
        visit(normalize(join(dirname(path), one.from)));
      }
    }
  };
  for (const path of from) visit(path);
  return [...found];
};

test("what the page imports, and what that imports, is free of Node", () => {
  const pages = sources.filter(({ room }) => room === "web").map(({ path }) => path);
  const reached = inBrowsers(pages);
  const strays = sources
    .filter(({ path }) => reached.includes(path))
    .filter(({ imports }) =>
      imports.some(({ from }) => from.startsWith("node:") || packageOf(from).endsWith("-node")),
    );

  expect(reached).toContain("src/client/process.ts");
  expect(strays.map(({ path }) => path)).toEqual([]);
});

test.for(Object.entries(ONLY_IN))("%s is known to %s alone", ([name, owners]) => {
  const users = sources.filter(({ imports }) =>
    imports.some(({ from }) => packageOf(from) === name),
  );

  expect(users.map(({ path }) => path)).toEqual(owners);
});

describe.for(sources)("$path", ({ path, text }) => {
  const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");

  test("has at most 300 lines", () => {
    expect(text.split("\n").length).toBeLessThanOrEqual(301);
  });

  test("is called after what it holds", () => {
    const name = path.split("/").at(-1)?.replace(/\.ts$/, "") ?? "";

    expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
    if (path !== PUBLIC_DOOR) expect(name).not.toMatch(FORBIDDEN_NAMES);
  });

  test("has no enum, and waits by the global timers, which tests can turn", () => {
    expect(code).not.toMatch(/^\s*(export )?(const )?enum /m);
    expect(code).not.toMatch(/"(node:)?timers/);
  });

  test("leaves the environment, the exit and the console to the outermost files", () => {
    const mayAll = /^src\/(main|config)\.ts$|^src\/cli\//.test(path);

    if (!mayAll) expect(code).not.toMatch(/process\.(env|exit|exitCode|argv)\b|\bconsole\./);
  });

  test("draws random numbers from the kernel alone", () => {
    // The client runs on the host, which nobody clones.
    if (path.startsWith("src/client/")) return;
    const names = [...code.matchAll(/^import\s+([^;]*?)\s+from "(?:node:)?crypto"/gm)]
      .flatMap(([, imported = ""]) => imported.replace(/^type |[{}]/g, "").split(","))
      .map((name) => name.trim())
      .filter((name) => name !== "");

    expect(names.filter((name) => !DRAWS_NOTHING.includes(name))).toEqual([]);
    expect(code).not.toMatch(
      /\bMath\.random\b|\b(web)?crypto\.|\brandomUUID\b|\bimport\("(node:)?crypto"/,
    );
  });

  test("says what each of its exports is for", () => {
    const bare = [
      ...text.matchAll(
        /(?<=^(.*)\n)(export (?:default )?(?:async )?(?:abstract )?(?:function\*?|class|interface|type|const|let) \w+)/gm,
      ),
    ]
      // The overloads of a function share the comment of the first.
      .filter(([, before = "", declaration = ""]) => {
        return (
          !/\*\/\s*$/.test(before) &&
          !(before.startsWith(`${declaration}(`) && before.endsWith(";"))
        );
      })
      .map(([, , declaration]) => declaration);
    const first = text.startsWith("export ") ? [text.split("\n")[0]] : [];

    expect([...first, ...bare]).toEqual([]);
  });
});
