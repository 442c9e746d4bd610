import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { asGuestError, GuestError, Interrupted, toGuestError } from "../../../src/client/errors.ts";

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
  const error = new Interrupted(7);

  expect(toGuestError(error)).toBe(error);
  expect(error).toMatchObject({ pid: 7, kind: "unreachable", isRetryable: true });
});

test("whatever a call throws becomes a guest's error, with its cause", async () => {
  const cause = new Error("odd");

  await expect(asGuestError(() => Promise.reject(cause))).rejects.toMatchObject({
    name: "GuestError",
    kind: "failed",
    cause,
  });
});
