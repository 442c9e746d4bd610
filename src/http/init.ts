import { AgentError } from "../errors.ts";
import type { Init } from "../init/init.ts";
import { type InitRequest, parseInitRequest } from "../init/init-request.ts";
import type { SnapshotLifecycle } from "../snapshot/lifecycle.ts";
import { collectBody } from "./collect-body.ts";
import { type Endpoint, HttpError, sendNothing } from "./endpoint.ts";

/** More than any host has to say. */
const BODY_LIMIT_BYTES = 4 * 1024 * 1024;

/** `POST /init`: what the host tells the guest. */
export function init(parts: {
  version: string;
  init: Init;
  snapshots: SnapshotLifecycle;
}): Endpoint {
  return async (request, response, { signal }) => {
    response.setHeader("X-Envd-Version", parts.version);
    parts.snapshots.notice("init");
    const asked = parse(await collectBody(request, BODY_LIMIT_BYTES));
    try {
      await parts.init.apply(asked, signal, (audit) =>
        response.setHeader("X-Envd-Freeze-Audit", JSON.stringify(audit)),
      );
    } catch (reason) {
      throw toHttpError(reason);
    }
    sendNothing(response);
  };
}

function parse(body: Buffer): InitRequest {
  try {
    return parseInitRequest(body);
  } catch (cause) {
    if (cause instanceof AgentError) throw new HttpError(400, cause.message, "empty");
    throw cause;
  }
}

function toHttpError(reason: unknown): unknown {
  if (!(reason instanceof Error)) return reason;
  if (!(reason instanceof AgentError)) return new HttpError(400, reason.message, "text");
  const status =
    reason.code === "unauthenticated" ? 401 : reason.code === "unavailable" ? 503 : 400;
  return new HttpError(status, reason.message, "text");
}
