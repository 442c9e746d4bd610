import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { composeFiles } from "../../src/http/compose.ts";
import { type Endpoint, HttpError, sendError } from "../../src/http/endpoint.ts";
import { readFiles } from "../../src/http/files-read.ts";
import { writeFiles } from "../../src/http/files-write.ts";
import { callerOf } from "../../src/init/caller.ts";
import { Settings } from "../../src/init/settings.ts";
import { Users } from "../../src/system/users.ts";

/** The file endpoints on real sockets, once over HTTP/1.1 and once over HTTP/2. */
export interface FilesServer extends AsyncDisposable {
  h1: string;
  h2: string;
  port: number;
  h2Port: number;
  settings: Settings;
  /** What an endpoint threw that nobody foresaw. */
  bugs: unknown[];
  /** Paths whose metadata could not be kept. */
  lost: string[];
  /** How many requests are being served. */
  active(): number;
}

/** Starts the endpoints; only the routing around them is the test's own. */
export async function startFilesServer(): Promise<FilesServer> {
  const settings = new Settings();
  const users = new Users();
  const bugs: unknown[] = [];
  const lost: string[] = [];
  let active = 0;
  const endpoints: Record<string, Endpoint> = {
    "GET /files": readFiles({ settings }),
    "POST /files": writeFiles({ settings, onMetadataLost: (path) => lost.push(path) }),
    "POST /files/compose": composeFiles({ settings }),
  };
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const gone = new AbortController();
    request.on("aborted", () => gone.abort());
    request.on("error", () => {});
    response.on("close", () => {
      if (!response.writableFinished) gone.abort();
    });
    const endpoint = endpoints[`${request.method} ${url.pathname}`];
    const caller = callerOf(settings, users, undefined);
    const call = { query: url.searchParams, signal: gone.signal, caller };
    active += 1;
    (endpoint?.(request, response, call) ?? Promise.reject(new HttpError(404, "not found", "text")))
      .catch((cause: unknown) => {
        if (!(cause instanceof HttpError)) bugs.push(cause);
        sendError(response, cause instanceof HttpError ? cause : new HttpError(500, "internal"));
      })
      .finally(() => {
        active -= 1;
      });
  };
  const h1 = createServer({ requestTimeout: 0 }, listener);
  const h2 = createHttp2Server(
    { settings: { initialWindowSize: 8 * 1024 * 1024 } },
    listener as never,
  );
  h2.on("session", (session) => session.setLocalWindowSize(16 * 1024 * 1024));
  const sessions = new Set<{ destroy(): void }>();
  h2.on("session", (session) => sessions.add(session));
  const port = await listen(h1);
  const h2Port = await listen(h2);
  return {
    h1: `http://127.0.0.1:${port}`,
    h2: `http://127.0.0.1:${h2Port}`,
    port,
    h2Port,
    settings,
    bugs,
    lost,
    active: () => active,
    async [Symbol.asyncDispose]() {
      h1.closeAllConnections();
      for (const session of sessions) session.destroy();
      await Promise.all([close(h1), close(h2)]);
    },
  };
}

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
