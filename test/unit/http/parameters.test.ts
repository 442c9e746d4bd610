import * as fc from "fast-check";
import { expect, test } from "vitest";
import { parseParameters } from "../../../src/http/parameters.ts";

function filename(header: string): string | undefined {
  return parseParameters(header).parameters.get("filename");
}

test("the value is told apart from its parameters", () => {
  const parsed = parseParameters('Multipart/Form-Data; Boundary="a;b"; x=y');

  expect(parsed.value).toBe("multipart/form-data");
  expect([...parsed.parameters]).toEqual([
    ["boundary", "a;b"],
    ["x", "y"],
  ]);
});

test.for([
  ["form-data; filename=a.txt", "a.txt"],
  ['form-data; filename="/a/b c.txt"; name="file"', "/a/b c.txt"],
  ['form-data; filename="C:\\dev\\go"', "C:\\dev\\go"],
  ['form-data; filename="a\\"b\\\\c"', 'a"b\\c'],
  ['form-data; filename=""', ""],
  ["form-data; filename*=utf-8''%e4%bd%a0%20x", "你 x"],
  ["form-data; filename*=UTF-8'en'a%2Fb", "a/b"],
  ["form-data; filename=a; filename*=utf-8''b", "b"],
  ["form-data; filename*=utf-8''b; filename=a", "b"],
  ["form-data; filename*0=a; filename*1=b; filename*2=c", "abc"],
  ["form-data; filename*0*=utf-8''%e4%bd; filename*1*=%a0; filename*2=x", "你x"],
  ["form-data; filename*0=a; filename*2=c", "a"],
  ["form-data; filename=a; filename=b", "a"],
  ["form-data; filename", undefined],
  ["form-data", undefined],
  ["", undefined],
] as const)("%s names %j", ([header, name]) => {
  expect(filename(header)).toBe(name);
});

test("raw UTF-8 bytes are read as UTF-8", () => {
  const header = Buffer.from('form-data; filename="日本.txt"').toString("latin1");

  expect(filename(header)).toBe("日本.txt");
});

test("every name survives quoting, and the extended form", () => {
  const name = fc.string({ unit: "grapheme" }).map((text) => Buffer.from(text).toString());
  fc.assert(
    fc.property(name, (text) => {
      const bytes = Buffer.from(text).toString("latin1");
      const quoted = bytes.replace(/["\\]/g, "\\$&");

      expect(filename(`form-data; name="file"; filename="${quoted}"; x=y`)).toBe(text);
      expect(filename(`form-data; filename*=utf-8''${encodeURIComponent(text)}`)).toBe(text);
    }),
  );
});

test("any text is read in time", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseParameters(text)));
  const started = performance.now();

  parseParameters(`;a="${"\\".repeat(80_000)}`);
  parseParameters("; ".repeat(40_000));
  parseParameters(`;${"a".repeat(80_000)}`);

  expect(performance.now() - started).toBeLessThan(1_000);
});
