import { Sandbox } from "e2b";
import { ENVD_VERSION } from "../../src/config.ts";
import { test as agentTest, type TestAgent } from "./agent.ts";

/** A client of the `e2b` package for `agent`, with the token it sends, if any. */
export function sandboxOf(agent: Pick<TestAgent, "url">, envdAccessToken?: string): Sandbox {
  return new Sandbox({
    sandboxId: "thaw-test",
    envdVersion: ENVD_VERSION,
    debug: true,
    sandboxUrl: agent.url,
    ...(envdAccessToken !== undefined && { envdAccessToken }),
  });
}

/** A test with a live agent and a client of the `e2b` package that speaks to it. */
export const test = agentTest.extend<{ sandbox: Sandbox }>({
  sandbox: async ({ agent }, use) => {
    await use(sandboxOf(agent));
  },
});
