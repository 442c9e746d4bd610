import { describe, expect, test } from "vitest";
import { parseMetadataHeaders } from "../../../src/http/metadata-headers.ts";

test("keys are lower case, the first value wins, other headers are left alone", () => {
  const raw = ["X-Metadata-Foo", "1", "Host", "x", "x-metadata-foo", "2", "X-METADATA-bar", "b c"];

  expect(parseMetadataHeaders(raw)).toEqual({ foo: "1", bar: "b c" });
});

test("an empty key is ignored, an empty value is not", () => {
  expect(parseMetadataHeaders(["X-Metadata-", "x", "X-Metadata-a", ""])).toEqual({ a: "" });
});

test("a key that every object has is a key like others", () => {
  const parsed = parseMetadataHeaders(["X-Metadata-__proto__", "x"]);

  expect(Object.entries(parsed)).toEqual([["__proto__", "x"]]);
});

describe("limits", () => {
  test.for([
    ["a value that is no ASCII", ["X-Metadata-a", "\u00e4"]],
    ["a tab inside a value", ["X-Metadata-a", "b\tc"]],
    ["a key of 247 bytes", [`X-Metadata-${"k".repeat(247)}`, ""]],
    ["4097 bytes in all", ["X-Metadata-k", "v".repeat(4097 - 10)]],
  ] as const)("%s is too much", ([, raw]) => {
    expect(() => parseMetadataHeaders(raw)).toThrow(
      expect.objectContaining({
        status: 400,
        message: expect.stringMatching(/^invalid metadata: /),
      }),
    );
  });

  test("a key of 246 bytes and 4096 bytes in all are not", () => {
    const raw = [
      `X-Metadata-${"k".repeat(246)}`,
      "",
      "X-Metadata-v",
      "v".repeat(4096 - 246 - 9 - 10),
    ];

    expect(Object.keys(parseMetadataHeaders(raw))).toHaveLength(2);
  });
});
