import type { IncomingMessage, ServerResponse } from "node:http";
import { AgentError } from "../errors.ts";
import { type Endpoint, type HttpCall, HttpError, sendError } from "../http/endpoint.ts";
import { isPageRequest } from "../http/page.ts";
import { refuse } from "../http/refuse.ts";
import { type Caller, callerOf } from "../init/caller.ts";
import type { Settings } from "../init/settings.ts";
import type { Logger } from "../log.ts";
import type { StallWatch } from "../net/progress.ts";
import { badStallHeader } from "../net/stall-header.ts";
import { watchBody } from "../net/watch-request.ts";
import { watchEnd } from "../net/watch-response.ts";
import type { Users } from "../system/users.ts";
import { type Admission, basicUser } from "./admission.ts";
import { answerCors } from "./cors.ts";
import { checkMediaType, type MethodKind } from "./media-types.ts";

/** Requests that are served by hand, before anything else sees them. */
export interface RawRoute {
  matches(request: IncomingMessage): boolean;
  handle(request: IncomingMessage, response: ServerResponse, call: HttpCall): Promise<void>;
}

/** What the router leads to. */
export interface RouterParts {
  /** By method and path, as in `GET /health`. */
  endpoints: ReadonlyMap<string, Endpoint>;
  raw: readonly RawRoute[];
  /** Answers every RPC. */
  rpc: (request: IncomingMessage, response: ServerResponse) => void;
  /** The path of every RPC, and its kind. */
  rpcPaths: ReadonlyMap<string, MethodKind>;
  admission: Admission;
  settings: Settings;
  users: Users;
  /** Finds peers that stop in the middle of a body or of an answer. */
  stalls: StallWatch;
  log: Logger;
  /** The id of the guest's life, for callers who keep connections. */
  generationId: () => string;
}

/** Asked for by its presence in a request, and answered in the same. */
const GENERATION = "thaw-generation";
/** Why a call's signal aborts. Made once: an error of its own for every request costs microseconds. */
const CLIENT_GONE = new DOMException("the client has gone", "AbortError");

/** Leads each request to who answers it. Whatever a request holds, it is answered and survived. */
export class Router {
  readonly #parts: RouterParts;
  readonly #paths: ReadonlySet<string>;

  constructor(parts: RouterParts) {
    this.#parts = parts;
    this.#paths = new Set([...parts.endpoints.keys()].map((key) => key.split(" ")[1] ?? ""));
  }

  /** Answers `request`. Never throws. */
  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    // Who is refused may stop as well as anybody else.
    watchBody(request, response, this.#parts.stalls);
    watchEnd(response, this.#parts.stalls);
    try {
      this.#route(request, response);
    } catch (reason) {
      this.#fail(request, response, reason);
    }
  };

  /** Refuses `request` because all connections are taken. */
  readonly turnAway = (request: IncomingMessage, response: ServerResponse): void => {
    watchBody(request, response, this.#parts.stalls);
    watchEnd(response, this.#parts.stalls);
    const why = "all connections of the agent are taken and in use: close some, or try later";
    void refuse(request, response, new HttpError(503, why, "rpc"));
  };

  #route(request: IncomingMessage, response: ServerResponse): void {
    const { path, query } = targetOf(request);
    const isPage = isPageRequest(request, path);
    if (!isPage) this.#parts.admission.checkOrigin(request);
    if (answerCors(request, response)) return;
    if (!isPage) this.#parts.admission.checkToken(request, path);
    if (request.headers[GENERATION] !== undefined) {
      response.setHeader(GENERATION, this.#parts.generationId());
    }
    checkStallHeader(request);
    const kind = this.#parts.rpcPaths.get(path);
    if (kind !== undefined) {
      checkMediaType(request, response, kind);
      this.#routeRpc(request, response, query);
      return;
    }
    const call = this.#callOf(request, response, query);
    verify(call.caller);
    const endpoint = this.#parts.endpoints.get(`${request.method} ${path}`);
    if (endpoint === undefined) throw this.#noEndpoint(path, response);
    endpoint(request, response, call).catch((reason: unknown) =>
      this.#fail(request, response, reason),
    );
  }

  #routeRpc(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): void {
    const raw = this.#parts.raw.find((route) => route.matches(request));
    if (raw === undefined) {
      checkAuthority(request);
      this.#parts.rpc(request, response);
      return;
    }
    const call = this.#callOf(request, response, query);
    raw
      .handle(request, response, call)
      .catch((reason: unknown) => this.#fail(request, response, reason));
  }

  #callOf(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): HttpCall {
    const gone = new AbortController();
    response.once("close", () => gone.abort(CLIENT_GONE));
    const { settings, users } = this.#parts;
    const caller = callerOf(settings, users, basicUser(request.headers.authorization));
    return { query, signal: gone.signal, caller };
  }

  #noEndpoint(path: string, response: ServerResponse): HttpError {
    if (!this.#paths.has(path)) return new HttpError(404, "404 page not found", "text");
    const methods = [...this.#parts.endpoints.keys()]
      .filter((key) => key.endsWith(` ${path}`))
      .map((key) => key.split(" ")[0]);
    response.setHeader("Allow", methods.join(", "));
    return new HttpError(405, "", "empty");
  }

  #fail(request: IncomingMessage, response: ServerResponse, reason: unknown): void {
    const isForeseen = reason instanceof HttpError;
    if (!isForeseen) this.#parts.log.error({ err: reason }, "a request failed by a bug");
    const error = isForeseen ? reason : new HttpError(500, "internal error");
    // HTTP/2 resets a stream whose request nobody reads, and some clients then lose the answer.
    if (request.httpVersionMajor < 2 || response.headersSent) sendError(response, error);
    else void refuse(request, response, error);
  }
}

function checkStallHeader({ headers }: IncomingMessage): void {
  const complaint = badStallHeader(headers);
  if (complaint !== undefined) throw new HttpError(400, complaint, "rpc");
}

/** A user that does not exist is refused even where none is needed. */
function verify(caller: Caller): void {
  try {
    caller.verify();
  } catch (reason) {
    if (reason instanceof AgentError) throw new HttpError(401, reason.message, "rpc");
    throw reason;
  }
}

/**
 * Splits the request target. Absolute targets, which proxies send, lose their origin for whoever
 * looks at the request afterwards.
 */
function targetOf(request: IncomingMessage): { path: string; query: URLSearchParams } {
  const target = (request.url ?? "").replace(/^https?:\/\/[^/?]*/i, "") || "/";
  if (target !== request.url) request.url = target;
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  return { path, query: new URLSearchParams(mark < 0 ? "" : target.slice(mark + 1)) };
}

/** The stock adapter makes a URL of the authority, and one that is none would end the process. */
function checkAuthority({ headers }: IncomingMessage): void {
  const authority = String(headers[":authority"] ?? headers.host ?? "");
  if (URL.canParse(`http://${authority}`)) return;
  throw new HttpError(400, `"${authority}" is not a host`);
}
