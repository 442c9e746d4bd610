import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { OpenFile } from "../filesystem/read.ts";
import { randomText } from "../system/random.ts";
import { isRangeWanted, weighConditions } from "./conditions.ts";
import { harmlessHeaders, sniff, typeByExtension } from "./content-type.ts";
import { HttpError } from "./endpoint.ts";
import { type ByteRange, contentRange, parseRanges } from "./ranges.ts";
import type { ResponseBody } from "./response-body.ts";

/** A file on its way to a client. */
export interface Answer {
  request: IncomingMessage;
  response: ServerResponse;
  body: ResponseBody;
  /** What every answer carries; more is added. */
  headers: OutgoingHttpHeaders;
  file: OpenFile;
  /** The path that was asked for, which says more about the type than where its links lead. */
  path: string;
}

/**
 * Sends the file as it is, or the ranges asked for, if the conditions of the request allow it.
 * The length is always announced and always kept to.
 */
export async function sendPlain(answer: Answer): Promise<void> {
  const { request, response, file, path, headers } = answer;
  const modified = Math.floor(file.modifiedMs / 1000);
  if (modified !== 0) headers["Last-Modified"] = new Date(modified * 1000).toUTCString();
  const verdict = weighConditions(request.headers, modified);
  if (verdict !== "serve") {
    response.writeHead(verdict === "failed" ? 412 : 304, headers);
    response.end();
    return;
  }
  headers["Accept-Ranges"] = "bytes";
  const type = typeByExtension(path) ?? sniff(file.head);
  Object.assign(headers, harmlessHeaders(type));
  const wanted = isRangeWanted(request.headers, modified) ? request.headers.range : undefined;
  const choice = parseRanges(wanted, file.size);
  if (choice.kind === "unsatisfiable" || choice.kind === "invalid") {
    const isKnown = choice.kind === "unsatisfiable";
    if (isKnown) response.setHeader("Content-Range", `bytes */${file.size}`);
    throw new HttpError(
      416,
      isKnown ? "invalid range: failed to overlap" : "invalid range",
      "text",
    );
  }
  if (choice.kind === "parts" && choice.ranges.length > 1) {
    await sendRanges(answer, choice.ranges, type);
    return;
  }
  headers["Content-Type"] = type;
  if (choice.kind === "whole") {
    await sendRange(answer, 200, { start: 0, end: file.size });
    return;
  }
  headers["Content-Range"] = contentRange(choice.ranges[0], file.size);
  await sendRange(answer, 206, choice.ranges[0]);
}

async function sendRange(
  { response, body, file, headers }: Answer,
  status: number,
  range: ByteRange,
): Promise<void> {
  response.writeHead(status, { ...headers, "Content-Length": range.end - range.start });
  if (range.end <= file.head.length) {
    body.end(file.head.subarray(range.start, range.end));
    return;
  }
  await file.forEachChunk(
    range,
    (chunk) => body.write(chunk),
    () => body.paceBytes,
  );
  body.end();
}

async function sendRanges(
  { response, body, file, headers }: Answer,
  ranges: readonly ByteRange[],
  type: string,
): Promise<void> {
  const boundary = randomText(40);
  const heads = ranges.map((range, index) => {
    const line = index === 0 ? "" : "\r\n";
    const about = `Content-Range: ${contentRange(range, file.size)}\r\nContent-Type: ${type}`;
    return { range, text: Buffer.from(`${line}--${boundary}\r\n${about}\r\n\r\n`) };
  });
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const length = heads.reduce(
    (sum, { range, text }) => sum + text.length + range.end - range.start,
    tail.length,
  );
  response.writeHead(206, {
    ...headers,
    "Content-Type": `multipart/byteranges; boundary=${boundary}`,
    "Content-Length": length,
  });
  for (const { range, text } of heads) {
    await body.write(text);
    await file.forEachChunk(
      range,
      (chunk) => body.write(chunk),
      () => body.paceBytes,
    );
  }
  body.end(tail);
}
