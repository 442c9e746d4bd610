import type { IncomingMessage } from "node:http";
import { basename } from "node:path";
import { lookAtFile, openFile } from "../filesystem/read.ts";
import type { Settings } from "../init/settings.ts";
import { chooseEncoding } from "./accept-encoding.ts";
import { contentDisposition } from "./content-disposition.ts";
import { type Endpoint, type HttpCall, HttpError } from "./endpoint.ts";
import { authorize, locate, lookUpUser, usernameOf } from "./file-caller.ts";
import { toHttpError } from "./file-errors.ts";
import { ClientGone, cutOff, type GuardResponse, ResponseBody } from "./response-body.ts";
import { sendGzipped } from "./send-gzipped.ts";
import { sendPlain } from "./send-plain.ts";

/** What the endpoint is made of. */
export interface ReadFilesParts {
  settings: Settings;
  /** Ends the answer to a client that has stopped to read. Without one, it may wait for ever. */
  guard?: GuardResponse | undefined;
}

/** `GET /files`: a regular file, whole or in ranges, as it is or gzipped. */
export function readFiles({ settings, guard }: ReadFilesParts): Endpoint {
  return async (request, response, call) => {
    try {
      const path = locateFile(request, call, settings);
      const stats = await lookAtFile(path);
      const encoding = encodingOf(request);
      await using file = await openFile(path, stats);
      const headers = {
        "Cache-Control": "no-store",
        Vary: "Accept-Encoding",
        "Content-Disposition": contentDisposition(basename(path)),
      };
      using body = new ResponseBody(response, call.signal, guard);
      const answer = { request, response, body, headers, file, path };
      await (encoding === "gzip" ? sendGzipped(answer) : sendPlain(answer));
    } catch (cause) {
      if (cause instanceof ClientGone) return;
      const error = toHttpError(cause);
      if (!response.headersSent) throw error ?? cause;
      cutOff(response);
      if (error === undefined) throw cause;
    }
  };
}

function locateFile(request: IncomingMessage, call: HttpCall, settings: Settings): string {
  authorize(request, call, settings, "read");
  const user = lookUpUser(call.caller, usernameOf(call.query.get("username"), settings));
  const path = call.query.get("path") ?? "";
  return locate(path, user, call.caller, `error expanding and resolving path '${path}'`);
}

/** Ranges and conditions speak about the plain bytes. */
function encodingOf({ headers }: IncomingMessage): "gzip" | "identity" {
  const header = headers["accept-encoding"];
  const { encoding, isIdentityAccepted } = chooseEncoding(
    typeof header === "string" ? header : undefined,
  );
  if (encoding === undefined) {
    throw new HttpError(
      406,
      "error parsing Accept-Encoding: no acceptable encoding found, supported: [gzip]",
    );
  }
  const isPartial = ["range", "if-modified-since", "if-none-match", "if-range"].some(
    (name) => (headers[name] ?? "") !== "",
  );
  if (isPartial && !isIdentityAccepted) {
    throw new HttpError(406, "identity encoding not acceptable for Range or conditional request");
  }
  return isPartial ? "identity" : encoding;
}
