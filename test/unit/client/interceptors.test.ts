import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Interceptor,
} from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { Process } from "../../../gen/process/process_pb.js";
import { identify, limitHeaders, retryOnce } from "../../../src/client/interceptors.ts";

/** A client whose calls fail with `codes`, one after the other, and then succeed. */
function failing(codes: readonly Code[], interceptors: Interceptor[]) {
  const calls: Headers[] = [];
  const answer = () => {
    const code = codes[calls.length - 1];
    if (code !== undefined) throw new ConnectError("no", code);
    return {};
  };
  const transport = createRouterTransport(
    ({ service }) =>
      service(Process, {
        list: (_, { requestHeader }) => {
          calls.push(requestHeader);
          return answer();
        },
        sendInput: (_, { requestHeader }) => {
          calls.push(requestHeader);
          return answer();
        },
      }),
    { transport: { interceptors } },
  );
  return { client: createClient(Process, transport), calls };
}

describe("retryOnce", () => {
  test.for([Code.Unavailable, Code.Aborted, Code.Canceled])(
    "asks again after code %i, once",
    async (code) => {
      const lost = failing([code], [retryOnce]);
      await lost.client.list({});
      expect(lost.calls.length).toBe(2);

      const dead = failing([code, code], [retryOnce]);
      await expect(dead.client.list({})).rejects.toMatchObject({ code });
      expect(dead.calls.length).toBe(2);
    },
  );

  test("does not ask again what the guest has refused", async () => {
    const { client, calls } = failing([Code.NotFound], [retryOnce]);

    await expect(client.list({})).rejects.toMatchObject({ code: Code.NotFound });
    expect(calls.length).toBe(1);
  });

  test("never sends input twice", async () => {
    const { client, calls } = failing([Code.Unavailable], [retryOnce]);

    await expect(client.sendInput({})).rejects.toMatchObject({ code: Code.Unavailable });
    expect(calls.length).toBe(1);
  });
});

test("identify sends what says who calls", async () => {
  const { client, calls } = failing([], [identify({ "x-access-token": "secret" })]);
  await client.list({});

  expect(calls[0]?.get("x-access-token")).toBe("secret");
});

test("limitHeaders leaves the caller's own abort alone", async () => {
  const { client } = failing([], [limitHeaders(60_000)]);
  const signal = AbortSignal.abort(new Error("enough"));

  await expect(client.list({}, { signal })).rejects.toMatchObject({ rawMessage: "enough" });
});
