import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { setFromBase64, toBase64 } from "../../../src/lib/native-base64.ts";

test("bytes are encoded as Buffer encodes them, with and without padding", () => {
  for (let length = 0; length < 50; length += 1) {
    const bytes = new Uint8Array(randomBytes(length));
    const text = Buffer.from(bytes).toString("base64");

    expect(toBase64.call(bytes)).toBe(text);
    expect(toBase64.call(bytes, { omitPadding: true })).toBe(text.replaceAll("=", ""));
    const url = text.replaceAll("+", "-").replaceAll("/", "_");
    expect(toBase64.call(bytes, { alphabet: "base64url" })).toBe(url);
  }
});

test("what was encoded is decoded, into the array and no further", () => {
  for (let length = 0; length < 50; length += 1) {
    const bytes = randomBytes(length);
    const into = new Uint8Array(length);

    const { read, written } = setFromBase64.call(into, bytes.toString("base64"));

    expect(Buffer.from(into).equals(bytes)).toBe(true);
    expect([read, written]).toEqual([Math.ceil(length / 3) * 4, length]);
  }
});

test.for(["QQ", "QQ=", "Q Q==", "QQ==QQ==", "QQ==\n", "!!!!", "QUJ*"])(
  "%j is left to who takes more than base64 with its padding",
  (text) => {
    expect(() => setFromBase64.call(new Uint8Array(9), text)).toThrow(SyntaxError);
  },
);
