import type { IncomingMessage } from "node:http";
import { basename } from "node:path";
import { checkSource, compose, isSameEntry } from "../filesystem/compose.ts";
import type { Settings } from "../init/settings.ts";
import { type Endpoint, HttpError, sendJson } from "./endpoint.ts";
import { locate, lookUpUser, usernameOf } from "./file-caller.ts";
import { toHttpError } from "./file-errors.ts";
import { pump, SourceError } from "./pump.ts";
import { refuse } from "./refuse.ts";

/** More paths than this takes no client has. */
const LARGEST_BODY = 4 * 1024 * 1024;

interface ComposeRequest {
  sourcePaths: string[];
  destination: string;
  username: string | undefined;
}

/** `POST /files/compose`: one file out of several, which it takes the place of. */
export function composeFiles({ settings }: { settings: Settings }): Endpoint {
  return async (request, response, call) => {
    try {
      const asked = parse(await readText(request, call.signal));
      const user = lookUpUser(call.caller, usernameOf(asked.username, settings));
      const path = locate(asked.destination, user, call.caller, "error resolving destination path");
      const sources: string[] = [];
      for (const source of asked.sourcePaths) {
        const quoted = JSON.stringify(source);
        const failure = `error resolving source path ${quoted}`;
        const resolved = locate(source, user, call.caller, failure);
        if (await isSameEntry(resolved, path)) {
          throw new HttpError(400, `source path ${quoted} cannot be the same as destination`);
        }
        await checkSource(resolved, source);
        sources.push(resolved);
      }
      await compose(sources, path, user, call.signal);
      sendJson(response, 200, { name: basename(path), path, type: "file" });
    } catch (cause) {
      // Nobody is left to be told.
      if (call.signal.aborted) return;
      const error = toHttpError(cause);
      if (error === undefined) throw cause;
      await refuse(request, response, error);
    }
  };
}

async function readText(request: IncomingMessage, signal: AbortSignal): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const push = (chunk: Uint8Array) => {
    bytes += chunk.byteLength;
    if (bytes <= LARGEST_BODY) {
      chunks.push(chunk);
      return undefined;
    }
    return Promise.reject(invalid(`it is larger than ${LARGEST_BODY} bytes`));
  };
  await pump(request, { push }, signal).catch((cause: unknown) => {
    throw cause instanceof SourceError ? invalid("unexpected end") : cause;
  });
  return Buffer.concat(chunks).toString("utf8");
}

function parse(text: string): ComposeRequest {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw invalid((cause as Error).message);
  }
  if (typeof body !== "object" || body === null) throw invalid("it is no object");
  const fields = body as Record<string, unknown>;
  const sourcePaths = fields["source_paths"] ?? [];
  const destination = fields["destination"] ?? "";
  const username = fields["username"] ?? undefined;
  if (!Array.isArray(sourcePaths) || sourcePaths.some((path) => typeof path !== "string")) {
    throw invalid("source_paths is no list of strings");
  }
  if (typeof destination !== "string") throw invalid("destination is no string");
  if (username !== undefined && typeof username !== "string") {
    throw invalid("username is no string");
  }
  if (sourcePaths.length === 0) throw new HttpError(400, "source_paths must not be empty");
  if (destination === "") throw new HttpError(400, "destination is required");
  return { sourcePaths: sourcePaths as string[], destination, username };
}

function invalid(reason: string): HttpError {
  return new HttpError(400, `invalid request body: ${reason}`);
}
