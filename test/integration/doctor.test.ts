import { describe, expect } from "vitest";
import { test } from "../helpers/agent.ts";
import { Binary, LAUNCHER } from "../helpers/binary.ts";
import { runProgram } from "../helpers/run-program.ts";

const doctor = (...urls: string[]) => runProgram(LAUNCHER, ["doctor", "clones", ...urls]);

describe("thaw doctor clones", () => {
  test("shows each guest's life, and that two guests differ", async ({ agent }) => {
    await using binary = await Binary.serve(["--no-token"]);
    const other = binary.stdout.trim();

    const { code, stdout } = await doctor(agent.url, other);

    const lines = stdout.trim().split("\n");
    expect(code).toBe(0);
    expect(lines[0]).toMatch(new RegExp(`^generation 1 +\\w{22} +${agent.url}$`));
    expect(lines[1]).toMatch(/^generation 1 +\w{22} /);
    expect(lines[2]).toBe("they differ");
  });

  test("fails when two guests are the same", async ({ agent }) => {
    const { code, stdout } = await doctor(agent.url, agent.url);

    expect(code).toBe(1);
    expect(stdout).toContain("TWO ARE THE SAME");
  });

  test("fails when a guest does not answer, and says which", async () => {
    const { code, stderr } = await doctor("http://127.0.0.1:1");

    expect(code).toBe(1);
    expect(stderr).toContain("http://127.0.0.1:1: ");
  });

  test("refuses what is no URL, and another topic", async () => {
    expect(await doctor("nowhere")).toMatchObject({ code: 2 });
    expect(await runProgram(LAUNCHER, ["doctor", "me"])).toMatchObject({ code: 2 });
  });
});
