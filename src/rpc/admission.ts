import { timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { HttpError } from "../http/endpoint.ts";
import type { Settings } from "../init/settings.ts";
import { isPreflight } from "./cors.ts";

/** Exact method and path of the requests that need no token. Signed file URLs prove themselves. */
const EXEMPT = new Set([
  "GET /health",
  "GET /files",
  "POST /files",
  "POST /init",
  "POST /snapshot/prepare",
]);

/** What a token that only shows may be brought to. Whose output it opens is checked there. */
const VIEWING = new Set(["/process.Process/Connect", "/process.Process/AcknowledgeOutput"]);

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/i;

/** Decides which requests are answered at all. */
export class Admission {
  readonly #settings: Settings;
  readonly #guardHost: string | undefined;
  readonly #isViewToken: (token: string) => boolean;

  /**
   * `guardHost`: the bound address, where browsers may reach the agent; `undefined` guards nothing.
   * `isViewToken`: whether a token opens the output of some process.
   */
  constructor(
    settings: Settings,
    guardHost: string | undefined,
    isViewToken: (token: string) => boolean = () => false,
  ) {
    this.#settings = settings;
    this.#isViewToken = isViewToken;
    this.#guardHost = guardHost?.toLowerCase();
  }

  /**
   * Refuses, by throwing an `HttpError`, what a page of a foreign site may have sent. Such a page
   * may still ask whether it may bring the token.
   */
  checkOrigin(request: IncomingMessage): void {
    if (this.#guardHost === undefined || this.#hasToken(request) || this.#mayView(request)) return;
    if (isPreflight(request) && this.#settings.accessToken !== undefined) return;
    this.#checkHost(request);
  }

  /** Refuses, by throwing an `HttpError`, a request without the token it needs. */
  checkToken(request: IncomingMessage, path: string): void {
    if (this.#settings.accessToken === undefined) return;
    if (EXEMPT.has(`${request.method} ${path}`) || this.#hasToken(request)) return;
    if (VIEWING.has(path) && this.#mayView(request)) return;
    throw new HttpError(
      401,
      "unauthorized access, please provide a valid access token or method signing if supported",
    );
  }

  #mayView({ headers }: IncomingMessage): boolean {
    const given = headers["x-access-token"];
    const isNeeded = this.#settings.accessToken !== undefined;
    return isNeeded && typeof given === "string" && this.#isViewToken(given);
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
