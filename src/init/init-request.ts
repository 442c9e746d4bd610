import { AgentError } from "../errors.ts";
import { parseRfc3339 } from "../system/clock.ts";
import type { VolumeMount } from "./nfs-mounts.ts";

/** What the host tells the guest in one `/init`. What is absent was not said. */
export interface InitRequest {
  /** When the host said it, in nanoseconds since 1970. */
  timestampNs?: bigint;
  envVars?: ReadonlyMap<string, string>;
  accessToken?: string;
  hyperloopIp?: string;
  defaultUser?: string;
  defaultWorkdir?: string;
  /** One or more certificates in PEM. */
  caBundle?: string;
  /** Which life of the sandbox the mounts belong to; default the empty one. */
  lifecycleId: string;
  volumeMounts: readonly VolumeMount[];
}

type Json = Record<string, unknown>;

/**
 * Reads the body of `/init`, whatever its type claims to be. No body at all says nothing. Throws
 * `invalid` for what is no JSON object or has a field of the wrong type; `null` counts as absent.
 */
export function parseInitRequest(body: Buffer): InitRequest {
  const text = body.toString("utf8");
  if (text.trim() === "") return { lifecycleId: "", volumeMounts: [] };
  const json = parseObject(text);
  const request: InitRequest = {
    lifecycleId: stringField(json, "lifecycleID") ?? "",
    volumeMounts: mountsField(json),
  };
  assign(request, "timestampNs", timestampField(json));
  assign(request, "envVars", variablesField(json));
  assign(request, "accessToken", tokenField(json, text));
  assign(request, "hyperloopIp", nonEmpty(stringField(json, "hyperloopIP")));
  assign(request, "defaultUser", nonEmpty(stringField(json, "defaultUser")));
  assign(request, "defaultWorkdir", nonEmpty(stringField(json, "defaultWorkdir")));
  assign(request, "caBundle", nonEmpty(stringField(json, "caBundle")));
  return request;
}

function assign<K extends keyof InitRequest>(
  request: InitRequest,
  key: K,
  value: InitRequest[K] | undefined,
): void {
  if (value !== undefined) request[key] = value;
}

function parseObject(text: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AgentError("invalid", "the body is no JSON", { cause });
  }
  if (value === null) return {};
  if (!isObject(value)) throw new AgentError("invalid", "the body is no JSON object");
  return value;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function stringField(json: Json, key: string): string | undefined {
  const value = json[key] ?? undefined;
  if (value === undefined || typeof value === "string") return value;
  throw new AgentError("invalid", `"${key}" is no string`);
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

function timestampField(json: Json): bigint | undefined {
  const text = stringField(json, "timestamp");
  if (text === undefined) return undefined;
  const timestampNs = parseRfc3339(text);
  if (timestampNs === undefined) {
    throw new AgentError("invalid", `"timestamp" is no RFC 3339 time: "${text.slice(0, 64)}"`);
  }
  return timestampNs;
}

/** A token is a plain word: empty ones and ones that JSON has to escape are refused. */
function tokenField(json: Json, text: string): string | undefined {
  const token = stringField(json, "accessToken");
  if (token === "") throw new AgentError("invalid", '"accessToken" is empty');
  if (token !== undefined && text.includes("\\") && !isPlainIn(text, token)) {
    throw new AgentError("invalid", '"accessToken" has a backslash');
  }
  return token;
}

/**
 * Whether a value of `text` is the token as it is. Only searches, and does not parse again: who
 * may not set the token must not hold the agent up with a large body.
 */
function isPlainIn(text: string, token: string): boolean {
  const plain = `"${token}"`;
  if (JSON.stringify(token) !== plain) return false;
  for (let at = text.indexOf(plain); at >= 0; at = text.indexOf(plain, at + 1)) {
    if (text[beforeSpace(text, at)] === ":") return true;
  }
  return false;
}

/** Where the last character before `end` is that is no white space. */
function beforeSpace(text: string, end: number): number {
  let at = end - 1;
  while (" \t\r\n".includes(text[at] ?? "x")) at -= 1;
  return at;
}

function variablesField(json: Json): ReadonlyMap<string, string> | undefined {
  const value = json["envVars"] ?? undefined;
  if (value === undefined) return undefined;
  if (!isObject(value)) throw new AgentError("invalid", '"envVars" is no object');
  const variables = new Map<string, string>();
  for (const [name, text] of Object.entries(value)) {
    if (text !== null && typeof text !== "string") {
      throw new AgentError("invalid", `"envVars" has a value that is no string: "${name}"`);
    }
    // A variable that no process can have would keep every process from starting.
    if (name === "" || name.includes("=") || `${name}${text}`.includes("\0")) {
      throw new AgentError("invalid", `"envVars" has a name or value that cannot be: "${name}"`);
    }
    variables.set(name, text ?? "");
  }
  return variables;
}

function mountsField(json: Json): VolumeMount[] {
  const value = json["volumeMounts"] ?? [];
  if (!Array.isArray(value)) throw new AgentError("invalid", '"volumeMounts" is no array');
  return value.map((item: unknown) => {
    if (!isObject(item)) throw new AgentError("invalid", '"volumeMounts" has a non-object');
    return {
      target: stringField(item, "nfs_target") ?? "",
      path: stringField(item, "path") ?? "",
    };
  });
}
