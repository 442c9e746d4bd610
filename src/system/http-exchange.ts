import {
  Agent,
  type IncomingMessage,
  type RequestOptions,
  request as requestHttp,
} from "node:http";
import { request as requestHttps } from "node:https";

const REPLY_LIMIT_BYTES = 1024 * 1024;

/** One request to a service of the platform. */
export interface Exchange {
  url: URL;
  method: "GET" | "PUT" | "POST";
  headers: Record<string, string>;
  body?: string | undefined;
  /** How long all of it may take, in ms. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}

/** The reply to an exchange; its body is cut off by an error after 1 MiB. */
export interface Reply {
  status: number;
  body: string;
}

/**
 * Sends one request on a connection of its own, which is closed afterwards: nothing is left open
 * that would be dead after a restore. No proxy is used, whatever the environment says.
 */
export function exchange(options: Exchange): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { url, method, headers, body, timeoutMs, signal } = options;
    const isTls = url.protocol === "https:";
    const requestOptions: RequestOptions = { method, headers, signal };
    // The agent that requests share by default is the one that may know a proxy.
    if (!isTls) requestOptions.agent = new Agent({ keepAlive: false });
    else requestOptions.agent = false;
    const request = (isTls ? requestHttps : requestHttp)(url, requestOptions);
    let isAnswered = false;
    const timer = setTimeout(
      () => request.destroy(new Error(`${url.host}: no reply after ${timeoutMs} ms`)),
      timeoutMs,
    );
    request.once("close", () => {
      clearTimeout(timer);
      // A reply is read to its end by itself; without one, as when a server wants to speak
      // another protocol, nothing else may tell.
      if (!isAnswered) reject(new Error(`${url.host}: no reply`));
    });
    request.once("error", reject);
    request.once("response", (response) => {
      isAnswered = true;
      readReply(response).then(resolve, reject);
    });
    request.end(body);
  });
}

async function readReply(response: IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > REPLY_LIMIT_BYTES) throw new Error("the reply is longer than 1 MiB");
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") };
}
