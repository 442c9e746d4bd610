import http from "node:http";
import https from "node:https";

/** Connections for HTTP/1, kept from one request to the next. */
export function openAgent(url: string): http.Agent | https.Agent {
  const client = new URL(url).protocol === "https:" ? https : http;
  return new client.Agent({ keepAlive: true });
}

/** Closes those on which nothing goes on. */
export function closeIdleSockets(agent: http.Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) {
    for (const socket of sockets ?? []) socket.destroy();
  }
}
