import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  asGuestError,
  GuestError,
  Interrupted,
  isCut,
  toGuestError,
} from "../../../src/client/errors.ts";

test.for([
  [Code.NotFound, "not-found", false],
  [Code.Unauthenticated, "unauthenticated", false],
  [Code.Unimplemented, "unsupported", false],
  [Code.DeadlineExceeded, "timeout", true],
  [Code.Unavailable, "unreachable", true],
  [Code.Aborted, "unreachable", true],
  [Code.Internal, "failed", false],
  [Code.DataLoss, "failed", false],
] as const)("code %i is called %s", ([code, kind, isRetryable]) => {
  const error = toGuestError(new ConnectError("why", code));

  expect(error).toBeInstanceOf(GuestError);
  expect(error).toMatchObject({ kind, isRetryable, message: "why" });
});

test("a session that ends as a request enters it counts as unreachable", () => {
  const cause = Object.assign(new Error("destroyed"), { code: "ERR_HTTP2_INVALID_SESSION" });
  const reason = new ConnectError("destroyed", Code.Internal, undefined, undefined, cause);

  expect(toGuestError(reason)).toMatchObject({ kind: "unreachable", isRetryable: true });
});

test("what is a guest's error already stays as it is", () => {
  const offsets = { stdout: 1, stderr: 2, pty: 0 };
  const error = new Interrupted(7, offsets, new GuestError("unreachable", "reset"));

  expect(toGuestError(error)).toBe(error);
  expect(error).toMatchObject({ pid: 7, offsets, kind: "unreachable", isRetryable: true });
});

test("whatever a call throws becomes a guest's error, with its cause", async () => {
  const cause = new Error("odd");

  await expect(asGuestError(() => Promise.reject(cause))).rejects.toMatchObject({
    name: "GuestError",
    kind: "failed",
    cause,
  });
});

describe("a call counts as cut", () => {
  const answered = { "content-type": "application/json" };

  test.for([
    ["the guest is out of reach", new ConnectError("503", Code.Unavailable, answered), true],
    ["nothing was answered", new ConnectError("reset", Code.Internal), true],
    ["the answer was truncated", new ConnectError("protocol error", Code.InvalidArgument), true],
    ["the guest has refused it", new ConnectError("no", Code.InvalidArgument, answered), false],
    ["the guest has failed", new ConnectError("internal error", Code.Internal, answered), false],
    ["nothing came in time", new GuestError("timeout", "late"), true],
    ["the caller has left", new GuestError("canceled", "left"), false],
  ] as const)("or not when %s", ([, reason, expected]) => {
    expect(isCut(reason)).toBe(expected);
  });
});
