import type { Settings } from "../init/settings.ts";
import { type Endpoint, sendJson } from "./endpoint.ts";

/** `GET /envs`: the variables of every process. */
export function envs({ settings }: { settings: Settings }): Endpoint {
  return async (_request, response) => sendJson(response, 200, settings.variables());
}
