import { exchange } from "../system/http-exchange.ts";

const TOKEN_LIFETIME_S = "60";

/** What the platform knows about this machine. What it does not say is empty. */
export interface Metadata {
  /** The sandbox. */
  instanceId: string;
  /** The template it was made from. */
  templateId: string;
  /** Where log lines go. */
  address: string;
  /** SHA-512 of the access token that `/init` may bring, in hex. */
  accessTokenHash: string;
}

/** How long one lookup may take. */
export interface LookupLimits {
  /** For each of its two requests, in ms. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}

/** The virtual machine's metadata service, which hands out its data for a session token. */
export class MetadataService {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  /** The address and port as a firewall knows them. */
  get endpoint(): { host: string; port: number } {
    const { hostname, port } = new URL(this.#url);
    return { host: hostname, port: port === "" ? 80 : Number(port) };
  }

  /** Asks once. Rejects when there is no service or its reply makes no sense. */
  async fetch(limits: LookupLimits): Promise<Metadata> {
    const token = await this.#request("PUT", "/latest/api/token", limits, {
      "X-metadata-token-ttl-seconds": TOKEN_LIFETIME_S,
    });
    if (token === "") throw new Error("the metadata service gives an empty token");
    const text = await this.#request("GET", "/", limits, {
      "X-metadata-token": token,
      Accept: "application/json",
    });
    return parseMetadata(text);
  }

  async #request(
    method: "GET" | "PUT",
    path: string,
    limits: LookupLimits,
    headers: Record<string, string>,
  ): Promise<string> {
    const reply = await exchange({ url: new URL(path, this.#url), method, headers, ...limits });
    if (reply.status !== 200) {
      throw new Error(`the metadata service answers ${method} ${path} with ${reply.status}`);
    }
    return reply.body;
  }
}

/** Reads the reply of the service; throws when it is no JSON object. */
export function parseMetadata(text: string): Metadata {
  const json: unknown = JSON.parse(text);
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new Error("the metadata is no JSON object");
  }
  const field = (key: string) => {
    const value = (json as Record<string, unknown>)[key];
    return typeof value === "string" ? value : "";
  };
  return {
    instanceId: field("instanceID"),
    templateId: field("envID"),
    address: field("address"),
    accessTokenHash: field("accessTokenHash"),
  };
}
