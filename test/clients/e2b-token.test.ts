import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AuthenticationError, getSignature, InvalidArgumentError, type Sandbox } from "e2b";
import { describe, expect } from "vitest";
import { startTestAgent } from "../helpers/agent.ts";
import { test as base, sandboxOf } from "../helpers/sandbox.ts";

const TOKEN = "a secret, with: colons";

/** Everything a client may try. */
const ATTEMPTS: [string, (sandbox: Sandbox, path: string) => Promise<unknown>][] = [
  ["runs a command", (sandbox) => sandbox.commands.run("true")],
  ["lists commands", (sandbox) => sandbox.commands.list()],
  ["opens a terminal", (sandbox) => sandbox.pty.create({ cols: 80, rows: 24, onData: () => {} })],
  ["reads a file", (sandbox, path) => sandbox.files.read(path)],
  ["writes a file", (sandbox, path) => sandbox.files.write(path, "")],
  ["lists a directory", (sandbox) => sandbox.files.list("/")],
  ["watches a directory", (sandbox) => sandbox.files.watchDir("/tmp", () => {})],
];

const test = base.extend<{ secured: Sandbox; path: string }>({
  secured: async ({ agent }, use) => {
    await use(sandboxOf(agent, TOKEN));
  },
  path: async ({ agent }, use) => {
    const path = join(agent.directory, "a file & more.txt");
    writeFileSync(path, "content");
    await use(path);
  },
});

function post(
  url: string,
  body: FormData | string,
  headers?: Record<string, string>,
): Promise<Response> {
  return fetch(url, { method: "POST", body, ...(headers && { headers }) });
}

function upload(url: string, content: string): Promise<Response> {
  const form = new FormData();
  form.append("file", new Blob([content]), "ignored");
  return post(url, form);
}

async function messageOf(response: Response): Promise<string> {
  return ((await response.json()) as { message: string }).message;
}

describe("an agent with a token", () => {
  test.override({ config: { accessToken: TOKEN } });

  test("serves the client that has it", async ({ secured, path }) => {
    await expect(secured.commands.run("echo yes")).resolves.toMatchObject({ stdout: "yes\n" });
    await expect(secured.files.read(path)).resolves.toBe("content");
    await expect(secured.files.exists(path)).resolves.toBe(true);
    await expect(secured.isRunning()).resolves.toBe(true);
  });

  test.for(ATTEMPTS)("is of no use to one without who %s", async ([, attempt], { agent, path }) => {
    const without = sandboxOf(agent);
    const wrong = sandboxOf(agent, "a guess");

    await expect(attempt(without, path)).rejects.toThrow(AuthenticationError);
    await expect(attempt(wrong, path)).rejects.toThrow(AuthenticationError);
    expect(readFileSync(path, "utf8")).toBe("content");
  });

  test("shows everybody that it runs", async ({ sandbox }) => {
    await expect(sandbox.isRunning()).resolves.toBe(true);
  });

  test("lets a signed address download", async ({ secured, path }) => {
    const url = await secured.downloadUrl(path);
    const asRoot = await secured.downloadUrl(path, { user: "root" });
    const forAWhile = await secured.downloadUrl(path, { useSignatureExpiration: 60 });

    for (const address of [url, asRoot, forAWhile]) {
      const response = await fetch(address);
      expect(response.status).toBe(200);
      expect(await response.text()).toBe("content");
    }
  });

  test("lets a signed address upload", async ({ agent, secured }) => {
    const path = join(agent.directory, "uploaded");
    const url = await secured.uploadUrl(path);

    const form = await upload(url, "by form");
    expect(form.status).toBe(200);
    expect(readFileSync(path, "utf8")).toBe("by form");

    const octets = { "Content-Type": "application/octet-stream" };
    const raw = await post(await secured.uploadUrl(path, { user: "root" }), "raw", octets);
    expect(raw.status).toBe(200);
    expect(readFileSync(path, "utf8")).toBe("raw");
  });

  test("refuses an address that was not signed", async ({ sandbox, path }) => {
    const download = await fetch(await sandbox.downloadUrl(path));
    const uploaded = await upload(await sandbox.uploadUrl(path), "lost");

    expect([download.status, uploaded.status]).toEqual([401, 401]);
    expect(await messageOf(download)).toBe("missing signature query parameter");
    expect(readFileSync(path, "utf8")).toBe("content");
  });

  test("refuses an address whose time is over", async ({ secured, path }) => {
    const response = await fetch(await secured.downloadUrl(path, { useSignatureExpiration: -5 }));

    expect(response.status).toBe(401);
    expect(await messageOf(response)).toBe("signature is already expired");
  });

  test.for([
    ["to write, used to read", { operation: "write" }],
    ["for another file", { path: "/etc/passwd" }],
    ["for another user", { user: "root" }],
    ["with another token", { envdAccessToken: "a guess" }],
    ["with an end that the address does not name", { expirationInSeconds: 60 }],
  ] as const)("refuses a signature %s", async ([, difference], { agent, path }) => {
    const { signature } = await getSignature({
      path,
      operation: "read",
      user: undefined,
      envdAccessToken: TOKEN,
      ...difference,
    });
    const query = new URLSearchParams({ path, signature });

    const response = await fetch(`${agent.url}/files?${query.toString()}`);

    expect(response.status).toBe(401);
    expect(await messageOf(response)).toBe("invalid signature");
  });

  test("takes the token for a signature, and refuses a wrong one beside a good one", async ({
    agent,
    secured,
    path,
  }) => {
    const query = new URLSearchParams({ path });
    const right = { "X-Access-Token": TOKEN };
    const wrong = { "X-Access-Token": "a guess" };

    const byToken = await fetch(`${agent.url}/files?${query.toString()}`, { headers: right });
    const both = await fetch(await secured.downloadUrl(path), { headers: wrong });

    expect(byToken.status).toBe(200);
    expect(both.status).toBe(401);
    expect(await messageOf(both)).toBe("access token present in header but does not match");
  });
});

describe("an agent that is given a token while it runs", () => {
  test("is closed to whoever does not have it, from then on", async ({ agent, path }) => {
    const without = sandboxOf(agent);
    await without.commands.run("true");

    const init = await post(`${agent.url}/init`, JSON.stringify({ accessToken: TOKEN }));
    const again = await post(`${agent.url}/init`, JSON.stringify({ accessToken: "a guess" }));

    expect([init.status, again.status]).toEqual([204, 401]);
    await expect(without.commands.run("true")).rejects.toThrow(AuthenticationError);
    const having = sandboxOf(agent, TOKEN);
    await expect(having.files.read(path)).resolves.toBe("content");
    expect((await fetch(await having.downloadUrl(path))).status).toBe(200);
  });

  test("takes variables, a user and a directory with it", async ({ agent, user }) => {
    const body = {
      accessToken: TOKEN,
      envVars: { GIVEN: "by init" },
      defaultUser: user.name,
      defaultWorkdir: "/usr",
    };

    await post(`${agent.url}/init`, JSON.stringify(body));
    const { stdout } = await sandboxOf(agent, TOKEN).commands.run(
      'echo "$GIVEN, $(id -un), $PWD, $E2B_SANDBOX"',
    );

    expect(stdout).toBe(`by init, ${user.name}, /usr, false\n`);
  });
});

test("addresses need no signature without a token, and cannot end", async ({ sandbox, path }) => {
  const response = await fetch(await sandbox.downloadUrl(path));

  expect(await response.text()).toBe("content");
  await expect(sandbox.downloadUrl(path, { useSignatureExpiration: 60 })).rejects.toThrow(
    InvalidArgumentError,
  );
});

test("an agent that has gone is a connection error, not a wrong answer", async () => {
  const agent = await startTestAgent();
  const sandbox = sandboxOf(agent);
  await sandbox.commands.run("true");

  await agent.close();

  await expect(sandbox.commands.run("true")).rejects.toThrow();
  await expect(sandbox.isRunning()).rejects.toThrow();
});
