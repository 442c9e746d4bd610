import { expect, test } from "vitest";
import { AgentError } from "../../src/errors.ts";

test("a message is shown as it is, unless it is too long to be shown", () => {
  expect(new AgentError("invalid", "x".repeat(4_096)).message).toBe("x".repeat(4_096));
  expect(new AgentError("invalid", "x".repeat(4_097)).message).toBe(`${"x".repeat(4_096)}…`);
});
