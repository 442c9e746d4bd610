import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** A metadata service on loopback that hands out `data`, and takes log lines on every POST. */
export class MetadataServer implements AsyncDisposable {
  /** What a lookup answers; `undefined` answers 404. */
  data: unknown;
  /** The status of the token request. Default 200. */
  tokenStatus = 200;
  token = "session-token";
  /** Never answers. */
  isSilent = false;
  /** Method, path and headers of all requests, in their order. */
  readonly requests: { method: string; path: string; headers: IncomingMessage["headers"] }[] = [];
  /** The bodies of all POSTs. */
  readonly posts: string[] = [];
  /** The status of a POST. */
  postStatus = 200;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(data?: unknown): Promise<MetadataServer> {
    const server = createServer();
    const self = new MetadataServer(server);
    self.data = data;
    server.on("request", (request, response) => {
      const { method = "", url = "", headers } = request;
      self.requests.push({ method, path: url, headers });
      let body = "";
      request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      request.on("end", () => {
        if (self.isSilent) return;
        const { status, text } = self.#answer(method, headers, body);
        response.writeHead(status).end(text);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return self;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many connections are open. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );
  }

  #answer(
    method: string,
    headers: IncomingMessage["headers"],
    body: string,
  ): { status: number; text: string } {
    if (method === "PUT") return { status: this.tokenStatus, text: this.token };
    if (method === "POST") {
      this.posts.push(body);
      return { status: this.postStatus, text: "" };
    }
    if (headers["x-metadata-token"] !== this.token) return { status: 401, text: "" };
    if (this.data === undefined) return { status: 404, text: "" };
    return {
      status: 200,
      text: typeof this.data === "string" ? this.data : JSON.stringify(this.data),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
