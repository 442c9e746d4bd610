import { createServer } from "node:net";
import { join } from "node:path";
import { expect } from "vitest";
import { leavingNothing, startTestAgent, test } from "../helpers/agent.ts";
import { runProgram } from "../helpers/run-program.ts";

const SCRIPT = join(import.meta.dirname, "../fixtures/e2b-script.mjs");
/** Where the e2b package looks in debug mode. */
const DEBUG_PORT = 49983;

/** Whether nobody listens on `port` of this machine. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

test("a script with the e2b package in debug mode finds everything it needs", async () => {
  const port = (await isFree(DEBUG_PORT)) ? DEBUG_PORT : 0;

  await leavingNothing(async () => {
    await using agent = await startTestAgent({ port });
    const elsewhere = port === DEBUG_PORT ? {} : { E2B_SANDBOX_URL: agent.url };

    const { code, stdout, stderr } = await runProgram(process.execPath, [SCRIPT, agent.directory], {
      env: { E2B_DEBUG: "true", ...elsewhere },
    });

    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      stdout: "hello\n",
      stderr: "problem\n",
      largeBytes: 100_000_000,
      isSame: true,
      events: ["create file", "chmod file", "write file"],
      isRunning: true,
    });
  });
});
