import type { IncomingMessage } from "node:http";
import { AgentError } from "../errors.ts";
import { resolvePath } from "../filesystem/paths.ts";
import type { Caller } from "../init/caller.ts";
import type { Settings } from "../init/settings.ts";
import { checkSignature } from "../init/signature.ts";
import type { User } from "../system/users.ts";
import { type HttpCall, HttpError } from "./endpoint.ts";

/** Lets the request through by its token or its signature. */
export function authorize(
  request: IncomingMessage,
  { query }: HttpCall,
  settings: Settings,
  operation: "read" | "write",
): void {
  const token = request.headers["x-access-token"];
  checkSignature(settings, {
    operation,
    path: query.get("path") ?? "",
    username: query.get("username") ?? "",
    token: typeof token === "string" ? token : undefined,
    signature: query.get("signature") ?? undefined,
    expiration: parseExpiration(query.get("signature_expiration")),
  });
}

/** The name the request gives, or the default user's. An empty name counts as given. */
export function usernameOf(given: string | null | undefined, settings: Settings): string {
  const name = given ?? settings.defaultUser;
  if (typeof given !== "string" && name === "") throw new HttpError(400, "username not provided");
  return name;
}

/** The account called `name`. */
export function lookUpUser(caller: Caller, name: string): User {
  try {
    return caller.userNamed(name);
  } catch (cause) {
    if (!(cause instanceof AgentError)) throw cause;
    throw new HttpError(401, `error looking up user '${name}': user: unknown user ${name}`);
  }
}

/** Where `path` leads for `user`. A path that leads nowhere at all is `failure` and the reason. */
export function locate(path: string, user: User, caller: Caller, failure: string): string {
  try {
    return resolvePath(path, user, caller.workdir);
  } catch (cause) {
    if (!(cause instanceof AgentError)) throw cause;
    throw new HttpError(400, `${failure}: ${cause.message}`);
  }
}

function parseExpiration(text: string | null): bigint | undefined {
  if (text === null) return undefined;
  if (!/^[+-]?\d{1,19}$/.test(text)) {
    const message = `Invalid format for parameter signature_expiration: ${JSON.stringify(text)} is no integer`;
    throw new HttpError(400, message, "text");
  }
  return BigInt(text);
}
