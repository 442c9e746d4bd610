import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { join } from "node:path";
import { chooseEncoding } from "./accept-encoding.ts";
import { typeByExtension, UNKNOWN_TYPE } from "./content-type.ts";
import type { Endpoint } from "./endpoint.ts";

/** One file of the page, as the build lists it. */
interface PageFile {
  /** Where it is served, as in `/web/main-ABC.js`. */
  path: string;
  /** Its name in the directory. Beside it lies the same with `.gz`, compressed. */
  file: string;
  /** Changes with the content. */
  etag: string;
}

/** What the page may do: run and load what comes from here, and talk to here. Nothing else. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

const HEADERS: OutgoingHttpHeaders = {
  "Content-Security-Policy": POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  Vary: "Accept-Encoding",
};

/**
 * Whether `path` belongs to the page. Its files hold no secret, and who opens it has no token to
 * send yet, so it is served to everybody.
 */
export function isPageRequest({ method }: IncomingMessage, path: string): boolean {
  return (method === "GET" || method === "HEAD") && (path === "/" || path.startsWith("/web/"));
}

/**
 * The web terminal's files as the build left them in `directory`, by method and path. None where
 * it was not built.
 */
export function pageEndpoints(directory: string): [string, Endpoint][] {
  return listed(directory).flatMap((file) => {
    const endpoint = sendFile(directory, file);
    return [
      [`GET ${file.path}`, endpoint],
      [`HEAD ${file.path}`, endpoint],
    ];
  });
}

function listed(directory: string): PageFile[] {
  try {
    return JSON.parse(readFileSync(join(directory, "files.json"), "utf8")) as PageFile[];
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw reason;
  }
}

function sendFile(directory: string, { path, file, etag }: PageFile): Endpoint {
  // A name that holds a hash of the content never stands for another.
  const caching = path === "/" ? "no-cache" : "public, max-age=31536000, immutable";
  const type = typeByExtension(file) ?? UNKNOWN_TYPE;
  return async (request, response) => {
    const headers = { ...HEADERS, "Cache-Control": caching, ETag: etag };
    if (knows(request, etag)) {
      response.writeHead(304, headers).end();
      return;
    }
    const accepted = request.headers["accept-encoding"];
    const { encoding } = chooseEncoding(typeof accepted === "string" ? accepted : undefined);
    const isGzipped = encoding === "gzip";
    const content = await readFile(join(directory, isGzipped ? `${file}.gz` : file));
    response.writeHead(200, {
      ...headers,
      "Content-Type": type,
      "Content-Length": content.byteLength,
      ...(isGzipped && { "Content-Encoding": "gzip" }),
    });
    response.end(request.method === "HEAD" ? undefined : content);
  };
}

function knows({ headers }: IncomingMessage, etag: string): boolean {
  const tags = headers["if-none-match"] ?? "";
  return tags.split(",").some((tag) => [etag, "*"].includes(tag.trim().replace(/^W\//, "")));
}
