import type { IncomingMessage, ServerResponse } from "node:http";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ConnectRouterOptions,
  type ContextValues,
  createConnectRouter,
} from "@connectrpc/connect";
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Logger } from "../log.ts";

/** How RPCs are served; the rest is what a router of Connect takes. */
export interface AdapterOptions extends ConnectRouterOptions {
  /** Adds the services. */
  routes: (router: ConnectRouter) => void;
  /** What the handlers of a call find in their context. */
  contextValues: (request: IncomingMessage) => ContextValues;
  /** Hands on the body of a request, and has an eye on who sends it. */
  watch: (
    request: IncomingMessage,
    response: ServerResponse,
    body: AsyncIterable<Uint8Array>,
  ) => AsyncIterable<Uint8Array>;
  log: Logger;
}

/**
 * Leads requests of Node's servers to RPCs. The stock adapter does the same, but it complains on
 * the console of peers that have gone, and leaves an answer open for ever that it cannot write.
 */
export function adapt({
  routes,
  contextValues,
  watch,
  log,
  ...options
}: AdapterOptions): (request: IncomingMessage, response: ServerResponse) => void {
  // The stock list also has Brotli, which at its default level takes seconds for a large answer.
  const router = createConnectRouter({ acceptCompression: [compressionGzip], ...options });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const handler = handlers.get(request.url?.split("?", 1)[0] ?? "");
    if (handler === undefined) throw new Error(`no RPC is served at ${request.url}`);
    const values = contextValues(request);
    const call = universalRequestFromNodeRequest(request, response, undefined, values);
    const body = watch(request, response, call.body as AsyncIterable<Uint8Array>);
    await universalResponseToNodeResponse(await handler({ ...call, body }), response);
  };
  return (request, response) => {
    answer(request, response).catch((reason: unknown) => {
      const isGone = response.destroyed || ConnectError.from(reason).code === Code.Aborted;
      if (!isGone) log.error({ err: reason }, "a call cannot be answered");
      response.destroy();
    });
  };
}
