import type { Dialect } from "../init/settings.ts";
import type { SnapshotLifecycle } from "../snapshot/lifecycle.ts";
import { type Endpoint, sendJson, sendNothing } from "./endpoint.ts";

/** `GET /health`: the agent lives. After a restore it is also what wakes the guest. */
export function health(parts: {
  version: string;
  dialect: Dialect;
  snapshots: SnapshotLifecycle;
}): Endpoint {
  return async (_request, response) => {
    parts.snapshots.notice("health");
    response.setHeader("X-Envd-Version", parts.version);
    if (parts.dialect === "wrenn") sendJson(response, 200, { version: parts.version });
    else sendNothing(response);
  };
}
