import type { IncomingMessage } from "node:http";
import { HttpError } from "./endpoint.ts";

/**
 * The whole body of a small request. One that is longer than `limitBytes` is a 413, one that
 * breaks off a 400 without words. What comes after is thrown away unread.
 */
export function collectBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = (act: () => void) => {
      request.off("data", onData).off("end", onEnd).off("close", onBreak);
      // An error that nobody listens to would end the process, whenever it comes.
      request.on("error", ignore).resume();
      act();
    };
    const onData = (chunk: Buffer) => {
      bytes += chunk.byteLength;
      chunks.push(chunk);
      if (bytes > limitBytes) end(() => reject(tooLong(limitBytes)));
    };
    const onEnd = () => end(() => resolve(Buffer.concat(chunks)));
    const onBreak = () => end(() => reject(new HttpError(400, "", "empty")));
    const announced = Number(request.headers["content-length"] ?? 0);
    request.on("data", onData).on("end", onEnd).on("close", onBreak).on("error", ignore);
    if (announced > limitBytes) end(() => reject(tooLong(limitBytes)));
    else if (request.destroyed && !request.readableEnded) onBreak();
  });
}

function ignore(): void {}

function tooLong(limitBytes: number): HttpError {
  return new HttpError(413, `the body is longer than ${limitBytes} bytes`, "text");
}
