import { expect, test } from "vitest";
import { sniff, typeByExtension } from "../../../src/http/content-type.ts";

test.for([
  ["/a/b.html", "text/html; charset=utf-8"],
  ["/a/B.JPG", "image/jpeg"],
  ["/a/b.json", "application/json"],
  ["/a.html/b", undefined],
  ["/a/b.unknown", undefined],
  ["/a/.constructor", undefined],
  ["/a/b.constructor", undefined],
] as const)("the extension of %s says %s", ([path, type]) => {
  expect(typeByExtension(path)).toBe(type);
});

test.for([
  ["", "text/plain; charset=utf-8"],
  ["hello\tthere\r\n", "text/plain; charset=utf-8"],
  ["caf\xc3\xa9", "text/plain; charset=utf-8"],
  ["a\x00b", "application/octet-stream"],
  ["a\x7fb", "text/plain; charset=utf-8"],
  ["\n <!DOCTYPE html>", "text/html; charset=utf-8"],
  ["<html >", "text/html; charset=utf-8"],
  ["<htmlx>", "text/plain; charset=utf-8"],
  ["<!-- x", "text/html; charset=utf-8"],
  [" <?xml version", "text/xml; charset=utf-8"],
  ["%PDF-1.7", "application/pdf"],
  ["\x89PNG\r\n\x1a\n..", "image/png"],
  ["GIF89a..", "image/gif"],
  ["\xff\xd8\xff\xe0", "image/jpeg"],
  ["RIFF\x01\x02\x03\x04WEBPVP8 ", "image/webp"],
  ["RIFF\x01\x02\x03\x04WAVEfmt ", "audio/wave"],
  ["XXXX\x01\x02\x03\x04WAVEfmt ", "application/octet-stream"],
  ["\x00\x00\x00\x18ftypmp42", "video/mp4"],
  ["\x1f\x8b\x08\x00", "application/x-gzip"],
  ["PK\x03\x04", "application/zip"],
  ["\0asm\x01", "application/wasm"],
  ["\xff\xfeh\0i\0", "text/plain; charset=utf-16le"],
] as const)("a file that begins with %j is %s", ([head, type]) => {
  expect(sniff(Buffer.from(head, "latin1"))).toBe(type);
});

test("only the first 512 bytes count", () => {
  expect(sniff(Buffer.concat([Buffer.alloc(512, "a"), Buffer.alloc(1)]))).toMatch(/^text\/plain/);
  expect(sniff(Buffer.concat([Buffer.alloc(511, "a"), Buffer.alloc(1)]))).toMatch(/^application/);
});
