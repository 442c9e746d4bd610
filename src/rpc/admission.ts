import { timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { HttpError } from "../http/endpoint.ts";
import type { Settings } from "../init/settings.ts";
import type { ViewGrant, ViewTokens } from "../process/view-tokens.ts";
import { isPreflight } from "./cors.ts";

/** Exact method and path of the requests that need no token. Signed file URLs prove themselves. */
const EXEMPT = new Set([
  "GET /health",
  "GET /files",
  "POST /files",
  "POST /init",
  "POST /snapshot/prepare",
]);

/** What a token that only shows a process may call; how far is for the service to check. */
const VIEWING = new Set([
  "POST /process.Process/Connect",
  "POST /process.Process/AcknowledgeOutput",
]);

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/i;

/** Decides which requests are answered at all. */
export class Admission {
  readonly #settings: Settings;
  readonly #guardHost: string | undefined;
  readonly #viewTokens: Pick<ViewTokens, "find"> | undefined;

  /** `guardHost`: the bound address, where browsers may reach the agent; `undefined` guards nothing. */
  constructor(
    settings: Settings,
    guardHost: string | undefined,
    viewTokens?: Pick<ViewTokens, "find">,
  ) {
    this.#settings = settings;
    this.#guardHost = guardHost?.toLowerCase();
    this.#viewTokens = viewTokens;
  }

  /**
   * Refuses, by throwing an `HttpError`, what a page of a foreign site may have sent. Such a page
   * may still ask whether it may bring the token.
   */
  checkOrigin(request: IncomingMessage): void {
    const isKnown = this.#hasToken(request) || this.grantOf(request) !== undefined;
    if (this.#guardHost === undefined || isKnown) return;
    if (isPreflight(request) && this.#settings.accessToken !== undefined) return;
    this.#checkHost(request);
  }

  /** Refuses, by throwing an `HttpError`, a request without the token it needs. */
  checkToken(request: IncomingMessage, path: string): void {
    if (this.#settings.accessToken === undefined) return;
    const call = `${request.method} ${path}`;
    if (EXEMPT.has(call) || this.#hasToken(request)) return;
    if (VIEWING.has(call) && this.grantOf(request) !== undefined) return;
    throw new HttpError(
      401,
      "unauthorized access, please provide a valid access token or method signing if supported",
    );
  }

  /** What the sender of `request` may watch and no more; `undefined`: it is no such sender. */
  grantOf(request: IncomingMessage): ViewGrant | undefined {
    if (this.#settings.accessToken === undefined || this.#hasToken(request)) return undefined;
    const given = request.headers["x-access-token"];
    return typeof given === "string" ? this.#viewTokens?.find(given) : undefined;
  }

  #hasToken(request: IncomingMessage): boolean {
    const { accessToken } = this.#settings;
    const given = request.headers["x-access-token"];
    return accessToken !== undefined && typeof given === "string" && isEqual(given, accessToken);
  }

  /**
   * A page of a foreign site can send requests to this machine's loopback, by its own origin or by
   * a name that resolves there.
   */
  #checkHost({ headers, socket }: IncomingMessage): void {
    const authority = String(headers[":authority"] ?? headers.host ?? "").toLowerCase();
    const host = hostnameOf(authority);
    if (host !== "" && !this.#isOurs(host, socket)) {
      throw new HttpError(403, `host "${host}" is not the address this agent is bound to`);
    }
    const { origin } = headers;
    // The port counts: what else is served on this machine is not to be trusted with it.
    if (origin?.replace(/^https?:\/\//i, "").toLowerCase() === authority) return;
    if (origin !== undefined) throw new HttpError(403, `origin "${origin}" needs the access token`);
  }

  /** Whoever rebinds a name to this machine sends that name, and never an address. */
  #isOurs(host: string, socket: Socket): boolean {
    if (LOOPBACK.test(host) || host === this.#guardHost) return true;
    const isBoundToAll = this.#guardHost === "0.0.0.0" || this.#guardHost === "::";
    return isBoundToAll && host === socket.localAddress?.replace(/^::ffff:/, "");
  }
}

/** Compares in a time that does not tell how much of a guess was right. */
function isEqual(one: string, other: string): boolean {
  const a = Buffer.from(one);
  const b = Buffer.from(other);
  return a.length === b.length && timingSafeEqual(a, b);
}

/** The user a Basic header names; a header that cannot be read names nobody. */
export function basicUser(authorization: string | undefined): string | undefined {
  const encoded = /^Basic\s+([A-Za-z0-9+/=_-]+)\s*$/i.exec(authorization ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const credentials = Buffer.from(encoded, "base64").toString("utf8");
  const colon = credentials.indexOf(":");
  return colon < 0 ? undefined : credentials.slice(0, colon);
}

/** The host alone; IPv6 addresses without the brackets that an authority puts around them. */
function hostnameOf(authority: string): string {
  const host = authority.replace(/:\d*$/, "").toLowerCase();
  return /^\[(.*)\]$/.exec(host)?.[1] ?? host;
}
