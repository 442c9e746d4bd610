import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { AgentError } from "../../../src/errors.ts";
import { toConnectError } from "../../../src/rpc/errors.ts";

const failure = (code: string) => Object.assign(new Error("from the machine"), { code });

test.for(["ERR_STREAM_PREMATURE_CLOSE", "ECONNRESET", "EPIPE"])(
  "a call whose peer has gone (%s) was canceled, and is no bug",
  (code) => {
    expect(toConnectError(failure(code))).toMatchObject({ code: Code.Canceled });
  },
);

test("what nobody foresaw is an internal error that tells nothing", () => {
  expect(toConnectError(failure("EIO"))).toMatchObject({
    code: Code.Internal,
    rawMessage: "internal error",
  });
});

test("what was foreseen is told as it is", () => {
  expect(toConnectError(new AgentError("wrong-state", "not now"))).toMatchObject({
    code: Code.FailedPrecondition,
    rawMessage: "not now",
  });
});
