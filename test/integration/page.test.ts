import { createHash } from "node:crypto";
import { request } from "node:http";
import { gunzipSync } from "node:zlib";
import { describe, expect } from "vitest";
import { type TestAgent, test } from "../helpers/agent.ts";

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** Asks without Node's fetch, which undoes encodings and may not name a host of its own. */
function ask(
  agent: TestAgent,
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // A URL would take the dots out of a path.
    const target = { host: "127.0.0.1", port: agent.port, path, agent: false };
    const sent = request({ ...target, ...options }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers as Record<string, string>,
          body: Buffer.concat(parts),
        }),
      );
    });
    sent.on("error", reject);
    sent.end();
  });
}

const assetsOf = (page: Answer) =>
  [...page.body.toString().matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path = ""]) => path);

describe("the page of an agent with a token", () => {
  test.override({ config: { persona: "thaw", accessToken: "secret" } });

  test("is served to who has none, and to nobody's harm", async ({ agent }) => {
    const page = await ask(agent, "/");

    expect(page.status).toBe(200);
    expect(page.headers["content-type"]).toBe("text/html; charset=utf-8");
    const policy = page.headers["content-security-policy"] ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(page.headers["referrer-policy"]).toBe("no-referrer");
    expect(page.headers["x-frame-options"]).toBe("DENY");
    expect(page.body.toString()).not.toMatch(/secret|<style|style="|<script(?! type="module" src)/);
  });

  test("is served under any name of the machine, which calls are not", async ({ agent }) => {
    const headers = { host: "behind.a.proxy" };

    expect(await ask(agent, "/", { headers })).toMatchObject({ status: 200 });
    expect(await ask(agent, "/health", { headers })).toMatchObject({ status: 403 });
  });

  test("opens nothing else", async ({ agent }) => {
    const list = { method: "POST", headers: { "content-type": "application/json" } };

    expect(await ask(agent, "/process.Process/List", list)).toMatchObject({ status: 401 });
    expect(await ask(agent, "/metrics")).toMatchObject({ status: 401 });
    expect(await ask(agent, "/web/../metrics")).toMatchObject({ status: 404 });
    expect(await ask(agent, "/web/none.js")).toMatchObject({ status: 404 });
    expect(await ask(agent, "/", { method: "POST" })).toMatchObject({ status: 401 });
  });
});

describe("the page", () => {
  test("loads nothing but files of this agent", async ({ agent }) => {
    const page = await ask(agent, "/");

    expect(assetsOf(page).length).toBe(3);
    for (const path of assetsOf(page)) {
      expect(path).toMatch(/^\/web\/\w+-\w{8}\.(js|css|svg)$/);
      expect(await ask(agent, path)).toMatchObject({ status: 200 });
    }
  });

  test("has files that never change under their name, and is itself asked for anew", async ({
    agent,
  }) => {
    const page = await ask(agent, "/");
    const asset = await ask(agent, assetsOf(page)[0] ?? "");

    expect(page.headers["cache-control"]).toBe("no-cache");
    expect(asset.headers["cache-control"]).toBe("public, max-age=31536000, immutable");
  });

  test("is not sent again to who has it", async ({ agent }) => {
    const { headers } = await ask(agent, "/");
    const known = { "if-none-match": `"other", W/${headers["etag"]}` };

    const again = await ask(agent, "/", { headers: known });

    expect(again).toMatchObject({ status: 304, body: Buffer.alloc(0) });
    expect(again.headers["etag"]).toBe(headers["etag"]);
    expect(await ask(agent, "/", { headers: { "if-none-match": '"other"' } })).toMatchObject({
      status: 200,
    });
  });

  test("is sent compressed to who takes that, and is the same", async ({ agent }) => {
    const path = assetsOf(await ask(agent, "/")).find((one) => one.endsWith(".js")) ?? "";
    const plain = await ask(agent, path);
    const zipped = await ask(agent, path, { headers: { "accept-encoding": "gzip, br" } });

    expect(zipped.headers).toMatchObject({ "content-encoding": "gzip", vary: "Accept-Encoding" });
    expect(zipped.body.length).toBeLessThan(plain.body.length / 2);
    const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
    expect(hash(gunzipSync(zipped.body))).toBe(hash(plain.body));
  });

  test("can be looked at without its content", async ({ agent }) => {
    const head = await ask(agent, "/", { method: "HEAD" });

    expect(head.status).toBe(200);
    expect(Number(head.headers["content-length"])).toBeGreaterThan(0);
    expect(head.body.length).toBe(0);
  });
});

describe("an agent without a built page", () => {
  test.override({ config: { webDir: "/nowhere" } });

  test("has none, and works", async ({ agent }) => {
    expect(await ask(agent, "/")).toMatchObject({ status: 404 });
    expect(await ask(agent, "/health")).toMatchObject({ status: 204 });
  });
});
