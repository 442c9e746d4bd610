import * as fc from "fast-check";
import { expect, test } from "vitest";
import { contentDisposition } from "../../../src/http/content-disposition.ts";
import { parseParameters } from "../../../src/http/parameters.ts";

test.for([
  ["a.txt", "inline; filename=a.txt"],
  ["a b.txt", 'inline; filename="a b.txt"'],
  ['a"b\\c', 'inline; filename="a\\"b\\\\c"'],
  ["a;b=(c)", 'inline; filename="a;b=(c)"'],
  ["it's 100%", 'inline; filename="it\'s 100%"'],
  ["ä.txt", "inline; filename*=utf-8''%C3%A4.txt"],
  ["a\nb", "inline; filename*=utf-8''a%0Ab"],
  ["日本 (1)*'%.txt", "inline; filename*=utf-8''%E6%97%A5%E6%9C%AC%20%281%29%2A%27%25.txt"],
])("%j is %s", ([name, header]) => {
  expect(contentDisposition(name as string)).toBe(header);
});

test("every name can be read back, and fits into a header", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (name) => {
      const header = contentDisposition(name);

      expect(header).toMatch(/^[\t -~]+$/);
      expect(parseParameters(header).parameters.get("filename")).toBe(Buffer.from(name).toString());
    }),
  );
});
