import { type Endpoint, sendNothing } from "./endpoint.ts";

/** What the plain HTTP paths speak for. */
export interface EndpointParts {
  version: string;
}

/** Every plain HTTP path of the contract, by method and path. */
export function endpoints(_parts: EndpointParts): Map<string, Endpoint> {
  return new Map<string, Endpoint>([
    ["GET /health", async (_request, response) => sendNothing(response)],
  ]);
}
