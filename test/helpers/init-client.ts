import type { TestAgent } from "./agent.ts";

/** Posts `body` to `/init`, with no content type, as the host does. */
export function init(agent: TestAgent, body?: unknown): Promise<Response> {
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  return fetch(`${agent.url}/init`, {
    method: "POST",
    body: text === undefined ? null : Buffer.from(text),
  });
}

/** The variables of every process, asked for with `token`. */
export async function envs(agent: TestAgent, token?: string): Promise<Record<string, string>> {
  const headers: Record<string, string> = token === undefined ? {} : { "X-Access-Token": token };
  return (await (await fetch(`${agent.url}/envs`, { headers })).json()) as Record<string, string>;
}
