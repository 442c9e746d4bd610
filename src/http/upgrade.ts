import { type Endpoint, HttpError } from "./endpoint.ts";

/** `POST /upgrade`: this agent cannot be exchanged while it runs. */
export function upgrade(): Endpoint {
  return async (request) => {
    // The new agent that may come along is thrown away.
    request.on("error", () => {}).resume();
    throw new HttpError(501, "live upgrade is not supported");
  };
}
