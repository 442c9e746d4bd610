import type { IncomingMessage, ServerResponse } from "node:http";
import { HttpError } from "../http/endpoint.ts";

/** Whether a method takes and gives one message, or streams on one side at least. */
export type MethodKind = "unary" | "stream";

const GRPC = [
  "application/grpc",
  "application/grpc+json",
  "application/grpc+proto",
  "application/grpc-web",
  "application/grpc-web+json",
  "application/grpc-web+proto",
];

const MEDIA_TYPES: Record<MethodKind, readonly string[]> = {
  unary: [...GRPC, "application/json", "application/proto"],
  stream: ["application/connect+json", "application/connect+proto", ...GRPC],
};

/**
 * Refuses a request to a method of `kind` that is no call: by 405 or 415, with the header that
 * tells what would be one. Takes the parameters off the media type, as none changes its meaning.
 */
export function checkMediaType(
  request: IncomingMessage,
  response: ServerResponse,
  kind: MethodKind,
): void {
  if (request.method !== "POST") {
    response.setHeader("Allow", "POST");
    throw new HttpError(405, "", "empty");
  }
  const essence = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (!MEDIA_TYPES[kind].includes(essence)) {
    response.setHeader("Accept-Post", MEDIA_TYPES[kind].join(", "));
    throw new HttpError(415, "", "empty");
  }
  request.headers["content-type"] = essence;
}
