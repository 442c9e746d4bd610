import type { FreezeMode, WorkloadFreezer } from "../system/workload-freezer.ts";
import { type Endpoint, HttpError, sendJson, sendNothing } from "./endpoint.ts";

/** `POST /freeze`: brings the workload to rest before the machine is paused. */
export function freeze({ freezer }: { freezer: WorkloadFreezer }): Endpoint {
  return async (_request, response, { query, signal }) => {
    const maxWaitMs = integer(query, "maxWaitMs");
    const options = { mode: modeOf(query), maxGroups: integer(query, "maxCgroups"), signal };
    const result = await freezer.freeze({ ...options, maxWaitMs }).catch((reason: unknown) => {
      throw signal.aborted ? new HttpError(503, "the caller is gone", "empty") : reason;
    });
    if (maxWaitMs === undefined || maxWaitMs <= 0) sendNothing(response);
    else sendJson(response, 200, result);
  };
}

/** `POST /unfreeze`: lets the workload go on. */
export function unfreeze({ freezer }: { freezer: WorkloadFreezer }): Endpoint {
  return async (_request, response) => {
    await freezer.thaw().catch((reason: unknown) => {
      throw new HttpError(500, reason instanceof Error ? reason.message : String(reason));
    });
    sendNothing(response);
  };
}

function modeOf(query: URLSearchParams): FreezeMode {
  const mode = query.get("mode") ?? "legacy";
  if (mode === "legacy" || mode === "hierarchy") return mode;
  throw new HttpError(400, `Invalid format for parameter mode: "${mode}"`, "text");
}

function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (/^[+-]?\d{1,15}$/.test(text)) return Number(text);
  throw new HttpError(400, `Invalid format for parameter ${name}: "${text}"`, "text");
}
