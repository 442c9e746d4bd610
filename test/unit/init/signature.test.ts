import { describe, expect, test } from "vitest";
import { Settings } from "../../../src/init/settings.ts";
import { checkSignature, type SignedRequest, sign } from "../../../src/init/signature.ts";

const TOKEN = "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0";
const NOW_MS = 1_700_000_000_500;

const settings = new Settings();
settings.accessToken = TOKEN;

const plain = {
  operation: "read",
  path: "hello.txt",
  username: "user",
  expiration: undefined,
} as const;

/** The words of the refusal, or `undefined`. */
function refusal(changes: Partial<SignedRequest>, of = settings): string | undefined {
  const request = { ...plain, token: undefined, signature: undefined, ...changes };
  try {
    checkSignature(of, request, NOW_MS);
    return undefined;
  } catch (cause) {
    expect(cause).toMatchObject({ name: "AgentError", code: "unauthenticated" });
    return (cause as Error).message;
  }
}

test("the contract's test vector comes out", () => {
  expect(sign(plain, TOKEN)).toBe("v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E");
});

test("nothing is checked while no token is set", () => {
  expect(refusal({ token: "wrong", signature: "wrong" }, new Settings())).toBeUndefined();
});

describe("the token header", () => {
  test("lets through when it is the token", () => {
    expect(refusal({ token: TOKEN })).toBeUndefined();
  });

  test.for(["x", `${TOKEN}x`, TOKEN.slice(1), "é"])(
    "%j is refused, even with a signature",
    (token) => {
      const signature = sign(plain, TOKEN);

      expect(refusal({ token, signature })).toBe(
        "access token present in header but does not match",
      );
    },
  );

  test("counts as absent when it is empty", () => {
    expect(refusal({ token: "" })).toBe("missing signature query parameter");
  });
});

describe("a signature", () => {
  test("lets through what it was made for", () => {
    expect(refusal({ signature: sign(plain, TOKEN) })).toBeUndefined();
  });

  test.for<Partial<SignedRequest>>([
    { operation: "write" },
    { path: "hello.txt2" },
    { username: "" },
    { expiration: 1_900_000_000n },
  ])("is refused for anything else: %o", (changes) => {
    expect(refusal({ ...changes, signature: sign(plain, TOKEN) })).toBe("invalid signature");
  });

  test.for(["", "v1_", "v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E="])(
    "%j is refused",
    (signature) => {
      expect(refusal({ signature })).toBe("invalid signature");
    },
  );

  test.for([
    [1_700_000_001n, undefined],
    [1_700_000_000n, undefined],
    [1_699_999_999n, "signature is already expired"],
    [-1n, "signature is already expired"],
  ] as const)("that expires at %s is judged by whole seconds", ([expiration, words]) => {
    const signature = sign({ ...plain, expiration }, TOKEN);

    expect(refusal({ expiration, signature })).toBe(words);
  });

  test("with its expiry changed is invalid rather than expired", () => {
    const signature = sign({ ...plain, expiration: 1n }, TOKEN);

    expect(refusal({ expiration: 2n, signature })).toBe("invalid signature");
  });

  test("made with an expiry is refused without it", () => {
    const signature = sign({ ...plain, expiration: 1_900_000_000n }, TOKEN);

    expect(refusal({ signature })).toBe("invalid signature");
  });
});
