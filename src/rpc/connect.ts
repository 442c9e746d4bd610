import type { IncomingMessage, ServerResponse } from "node:http";
import type { DescService } from "@bufbuild/protobuf";
import { createContextValues, type Interceptor, type ServiceImpl } from "@connectrpc/connect";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { Ports } from "../../gen/ports/ports_pb.js";
import { callerOf } from "../init/caller.ts";
import type { Settings } from "../init/settings.ts";
import type { Logger } from "../log.ts";
import type { StallWatch, Watched } from "../net/progress.ts";
import { watchResponse } from "../net/watch-response.ts";
import { callerKey } from "../services/caller-key.ts";
import { viewGrantKey } from "../services/view-grant.ts";
import type { Users } from "../system/users.ts";
import { adapt } from "./adapter.ts";
import { type Admission, basicUser } from "./admission.ts";
import { shortenDeadline } from "./deadlines.ts";
import { errorInterceptor } from "./errors.ts";
import type { MethodKind } from "./media-types.ts";
import { MESSAGE_BYTES } from "./process-stream.ts";
import { registerReflection } from "./reflection.ts";
import { leaveBulkUncompressed } from "./uncompressed.ts";
import { watchedBody } from "./watched-body.ts";

/** What the RPCs are served with. */
export interface ConnectParts {
  /** Each service and what speaks for it. */
  services: readonly { service: DescService; implementation: ServiceImpl<DescService> }[];
  settings: Settings;
  users: Users;
  /** Aborts with the error that open calls end with. */
  shutdown: AbortSignal;
  /** Finds out that a peer has stopped reading. */
  stalls: StallWatch;
  admission: Admission;
  log: Logger;
}

const FORWARD = `/${Ports.typeName}/${Ports.method.forward.name}`;
/** Client streams that follow somebody who may think: they are silent between two messages. */
const MAY_PAUSE = new Set(["/process.Process/StreamInput", FORWARD]);

/** Serves every RPC over Connect, gRPC and gRPC-Web, with reflection. */
export function serveConnect(parts: ConnectParts): {
  rpc: (request: IncomingMessage, response: ServerResponse) => void;
  rpcPaths: ReadonlyMap<string, MethodKind>;
} {
  const { services, settings, users, shutdown, stalls, admission, log } = parts;
  const adapter = adapt({
    routes: (router) => {
      for (const { service, implementation } of services) router.service(service, implementation);
      registerReflection(
        router,
        services.map(({ service }) => service),
      );
    },
    contextValues: (request) =>
      createContextValues()
        .set(callerKey, callerOf(settings, users, basicUser(request.headers.authorization)))
        .set(viewGrantKey, admission.grantOf(request)),
    interceptors: [errorInterceptor(log), verifyCaller],
    readMaxBytes: MESSAGE_BYTES,
    shutdownSignal: shutdown,
    watch: (request, response, body) =>
      watchedBody(body, { request, response, stalls, mayPause: MAY_PAUSE.has(request.url ?? "") }),
    log,
  });
  const all = [...services.map(({ service }) => service), ServerReflection, ServerReflectionAlpha];
  return {
    rpc: (request, response) => {
      shortenDeadline(request);
      leaveBulkUncompressed(request);
      wakeWhenGone(response);
      if (request.url === FORWARD) carryBytes(request);
      else cutWhenStalled(response, stalls);
      adapter(request, response);
    },
    rpcPaths: new Map(
      all.flatMap(({ typeName, methods }) =>
        methods.map(({ name, methodKind }) => [
          `/${typeName}/${name}`,
          methodKind === "unary" ? "unary" : "stream",
        ]),
      ),
    ),
  };
}

/**
 * A connection that is carried is not compressed on its way, as nobody knows what it carries. Nor is
 * it cut when its peer pauses: it holds up nobody but itself.
 */
function carryBytes({ headers }: IncomingMessage): void {
  delete headers["connect-accept-encoding"];
  delete headers["grpc-accept-encoding"];
}

/** A user that does not exist is refused even where the user is not needed. */
const verifyCaller: Interceptor = (next) => async (request) => {
  request.contextValues.get(callerKey).verify();
  return await next(request);
};

/**
 * A handler that waits for a slow peer is only woken when the peer reads on; one that has gone
 * never does, and the handler would hold what it has for ever.
 */
function wakeWhenGone(response: ServerResponse): void {
  response.once("close", () => {
    if (response.listenerCount("drain") > 0) response.emit("drain");
  });
}

/** Cuts a peer off that has stopped to take an answer, so that what it holds up goes on. */
function cutWhenStalled(response: ServerResponse, stalls: StallWatch): void {
  const write = response.write.bind(response) as (...args: unknown[]) => boolean;
  let watched: Watched | undefined;
  let writtenBytes = 0;
  const watch = () => {
    response.once("close", () => {
      if (watched !== undefined) stalls.forget(watched);
    });
    return watchResponse({ response, writtenBytes: () => writtenBytes });
  };
  response.write = (...args: unknown[]) => {
    writtenBytes += (args[0] as Uint8Array).length;
    const wantsMore = write(...args);
    watched ??= watch();
    stalls.note(watched);
    return wantsMore;
  };
}
