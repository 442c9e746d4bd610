import { extname } from "node:path";

/** What `contentTypeOf` says when nothing else fits. */
export const UNKNOWN_TYPE = "application/octet-stream";
/** How many bytes of a file `sniff` looks at. */
const SNIFFED_BYTES = 512;

const TEXT = "text/plain; charset=utf-8";

const BY_EXTENSION: Readonly<Record<string, string>> = {
  avif: "image/avif",
  bmp: "image/bmp",
  css: "text/css; charset=utf-8",
  csv: "text/csv; charset=utf-8",
  gif: "image/gif",
  gz: "application/gzip",
  htm: "text/html; charset=utf-8",
  html: "text/html; charset=utf-8",
  ico: "image/x-icon",
  jpeg: "image/jpeg",
  jpg: "image/jpeg",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  md: "text/markdown; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  mp3: "audio/mpeg",
  mp4: "video/mp4",
  pdf: "application/pdf",
  png: "image/png",
  svg: "image/svg+xml",
  tar: "application/x-tar",
  txt: TEXT,
  wasm: "application/wasm",
  wav: "audio/wave",
  webm: "video/webm",
  webp: "image/webp",
  xml: "text/xml; charset=utf-8",
  zip: "application/zip",
};

/** The type of the file called `path`, by its extension alone. */
export function typeByExtension(path: string): string | undefined {
  const extension = extname(path).slice(1).toLowerCase();
  return Object.hasOwn(BY_EXTENSION, extension) ? BY_EXTENSION[extension] : undefined;
}

/** Types whose content may be a program that a browser runs. */
const ACTIVE = /^(?:text\/html|text\/xml|image\/svg\+xml)\b/;

/**
 * What keeps a file of this type, opened in a browser, from acting for the agent, whose origin it
 * comes from: it is taken for nothing else, and what runs in it is of no origin.
 */
export function harmlessHeaders(type: string): Record<string, string> {
  const headers = { "X-Content-Type-Options": "nosniff" };
  return ACTIVE.test(type)
    ? { ...headers, "Content-Security-Policy": "sandbox allow-scripts" }
    : headers;
}

/** Magic numbers: where they stand, what they are, what they mean. In latin1. */
const MAGIC: readonly (readonly [offset: number, bytes: string, type: string])[] = [
  [0, "%PDF-", "application/pdf"],
  [0, "%!PS-Adobe-", "application/postscript"],
  [0, "\xfe\xff", "text/plain; charset=utf-16be"],
  [0, "\xff\xfe", "text/plain; charset=utf-16le"],
  [0, "\xef\xbb\xbf", TEXT],
  [0, "\x00\x00\x01\x00", "image/x-icon"],
  [0, "\x00\x00\x02\x00", "image/x-icon"],
  [0, "BM", "image/bmp"],
  [0, "GIF87a", "image/gif"],
  [0, "GIF89a", "image/gif"],
  [8, "WEBPVP", "image/webp"],
  [0, "\x89PNG\r\n\x1a\n", "image/png"],
  [0, "\xff\xd8\xff", "image/jpeg"],
  [0, "ID3", "audio/mpeg"],
  [0, "OggS\0", "application/ogg"],
  [0, "MThd\0\0\0\x06", "audio/midi"],
  [8, "WAVE", "audio/wave"],
  [8, "AVI ", "video/avi"],
  [8, "AIFF", "audio/aiff"],
  [4, "ftyp", "video/mp4"],
  [0, "\x1aE\xdf\xa3", "video/webm"],
  [0, "wOFF", "font/woff"],
  [0, "wOF2", "font/woff2"],
  [0, "OTTO", "font/otf"],
  [0, "\x00\x01\x00\x00", "font/ttf"],
  [0, "ttcf", "font/collection"],
  [0, "\x1f\x8b\x08", "application/x-gzip"],
  [0, "PK\x03\x04", "application/zip"],
  [0, "Rar!\x1a\x07\x00", "application/x-rar-compressed"],
  [0, "Rar!\x1a\x07\x01\x00", "application/x-rar-compressed"],
  [0, "\0asm", "application/wasm"],
];

/** Formats whose magic number at 8 only counts after this at 0. */
const CONTAINERS: Readonly<Record<string, string>> = {
  "image/webp": "RIFF",
  "audio/wave": "RIFF",
  "video/avi": "RIFF",
  "audio/aiff": "FORM",
};

const HTML =
  /^<(?:!DOCTYPE HTML|HTML|HEAD|SCRIPT|IFRAME|H1|DIV|FONT|TABLE|A|STYLE|TITLE|B|BODY|BR|P|!--)[ >]/i;
/** Bytes that no text has: all control characters but tab, line feed, form feed, return, escape. */
function isBinary(byte: number): boolean {
  return byte < 0x20 && ![0x09, 0x0a, 0x0c, 0x0d, 0x1b].includes(byte);
}

/** The type of a file that begins with `head`, after the browsers' own rules. */
export function sniff(head: Uint8Array): string {
  const sniffed = Buffer.from(head.subarray(0, SNIFFED_BYTES));
  const text = sniffed.toString("latin1");
  const trimmed = text.replace(/^[\t\n\f\r ]+/, "");
  if (HTML.test(trimmed) || trimmed.startsWith("<!--")) return "text/html; charset=utf-8";
  if (trimmed.startsWith("<?xml")) return "text/xml; charset=utf-8";
  for (const [offset, bytes, type] of MAGIC) {
    const isInside = text.startsWith(CONTAINERS[type] ?? "");
    if (isInside && text.startsWith(bytes, offset)) return type;
  }
  return sniffed.some(isBinary) ? UNKNOWN_TYPE : TEXT;
}
