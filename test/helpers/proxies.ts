import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";

/** The proxies that are tried, and what a guest behind them is called over. */
export const PROXIES = [
  ["haproxy", "2"],
  ["nginx", "1.1"],
] as const;
type ProxyName = (typeof PROXIES)[number][0];

/** How long they let a connection be silent, in s. */
const IDLE_S = 2;

interface Place {
  directory: string;
  port: number;
  agentPort: number;
}

/** HTTP/2 to both sides; what speaks HTTP/1 may do so as well. */
function haproxyConfig({ port, agentPort }: Place): string {
  return `global
  maxconn 200
defaults
  mode http
  timeout connect 2s
  timeout client ${IDLE_S}s
  timeout server ${IDLE_S}s
frontend outside
  bind 127.0.0.1:${port}
  default_backend guest
backend guest
  server agent 127.0.0.1:${agentPort} proto h2
`;
}

/** HTTP/1.1 to both sides. */
function nginxConfig({ directory, port, agentPort }: Place): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `  ${name}_temp_path ${directory}/${name};`)
    .join("\n");
  return `daemon off;
master_process off;
pid ${directory}/pid;
error_log ${directory}/error.log;
events {}
http {
  access_log off;
${temporary}
  server {
    listen 127.0.0.1:${port};
    keepalive_timeout ${IDLE_S}s;
    client_body_timeout ${IDLE_S}s;
    send_timeout ${IDLE_S}s;
    location / {
      proxy_pass http://127.0.0.1:${agentPort};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_buffering off;
      proxy_read_timeout ${IDLE_S}s;
      proxy_send_timeout ${IDLE_S}s;
    }
  }
}
`;
}

/** A proxy of Debian in front of an agent, which cuts whatever is silent for 2 s. */
export class Proxy implements AsyncDisposable {
  readonly #name: ProxyName;
  readonly #place: Place;
  #child: ChildProcess | undefined;
  #restarting: Promise<void> = Promise.resolve();
  /** How often it was restarted. */
  restarts = 0;

  private constructor(name: ProxyName, place: Place) {
    this.#name = name;
    this.#place = place;
  }

  /** Starts one in front of the agent at `agentPort`. */
  static async start(name: ProxyName, agentPort: number): Promise<Proxy> {
    const directory = mkdtempSync(join(tmpdir(), "thaw-proxy-"));
    const proxy = new Proxy(name, { directory, port: await freePort(), agentPort });
    await proxy.#run();
    return proxy;
  }

  /** Where clients reach the guest. */
  get url(): string {
    return `http://127.0.0.1:${this.#place.port}`;
  }

  /** Kills it, with all that goes through it, and starts it again. One restart at a time. */
  restart(): Promise<void> {
    this.restarts++;
    this.#restarting = this.#runAgain(this.#restarting);
    return this.#restarting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#restarting;
    await this.#kill();
    rmSync(this.#place.directory, { recursive: true, force: true });
  }

  async #run(): Promise<void> {
    const { directory, port } = this.#place;
    const config = join(directory, "config");
    const isNginx = this.#name === "nginx";
    writeFileSync(config, isNginx ? nginxConfig(this.#place) : haproxyConfig(this.#place));
    const args = isNginx
      ? ["-p", directory, "-e", `${directory}/error.log`, "-c", config]
      : ["-db", "-f", config];
    const child = spawn(this.#name, args, { stdio: ["ignore", "ignore", "pipe"] });
    let words = "";
    child.stderr.on("data", (part: Buffer) => (words += part.toString()));
    child.once("error", (reason) => (words += reason.message));
    this.#child = child;
    await vi.waitFor(
      async () => {
        if (child.exitCode !== null) throw new Error(`${this.#name} has ended: ${words}`);
        await reach(port);
      },
      { timeout: 20_000, interval: 20 },
    );
  }

  async #runAgain(before: Promise<void>): Promise<void> {
    await before;
    await this.#kill();
    await this.#run();
  }

  async #kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "close");
    child.kill("SIGKILL");
    await ended;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const closed = once(server, "close");
  server.close();
  await closed;
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

async function reach(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
  } finally {
    socket.destroy();
  }
}
