import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  fromRawPath,
  joinRawPath,
  systemPath,
  toRawPath,
} from "../../../src/filesystem/raw-path.ts";

test("a text survives the way into bytes and back", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const bytes = Buffer.from(text);
      expect(Buffer.from(systemPath(toRawPath(text)) as string)).toEqual(bytes);
      expect(fromRawPath(toRawPath(text))).toBe(bytes.toString());
    }),
  );
});

test("bytes that are no UTF-8 keep their value for the system and are replaced in the text", () => {
  expect(systemPath("/a/\xff")).toEqual(Buffer.from([0x2f, 0x61, 0x2f, 0xff]));
  expect(fromRawPath("/a/\xff")).toBe("/a/\ufffd");
});

test.for([
  ["", "a", "a"],
  ["/", "a", "/a"],
  ["/a", "b", "/a/b"],
  ["/a/", "b", "/a/b"],
] as const)("%j and %j join to %j", ([directory, name, expected]) => {
  expect(joinRawPath(directory, name)).toBe(expected);
});
