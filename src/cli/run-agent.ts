import { isatty } from "node:tty";
import { type Agent, startAgent } from "../agent.ts";
import type { AgentConfig } from "../config.ts";
import { LineWriter } from "../lib/line-writer.ts";
import { type Logger, sendLogBy } from "../log.ts";
import { sendNow } from "../system/send-now.ts";
import { urlToOpen } from "./serve.ts";

/** How long programs and open calls may take to end after the first signal, in ms. */
const GRACE_MS = 2_000;
/** A program that cannot even be killed holds the agent up no longer than this, in ms. */
const LAST_MS = GRACE_MS + 3_000;

/** Conditions of the machine under which no agent can start, in words for who started it. */
const START_FAILURES: Record<string, (where: string) => string> = {
  EADDRINUSE: (where) => `${where} is in use: choose another port, as in --port 0`,
  EACCES: (where) => `${where} may not be bound by this user: choose a port above 1023`,
  EADDRNOTAVAIL: (where) => `${where} is no address of this machine`,
  EINVAL: (where) =>
    `${where} cannot be bound: a link-local address needs its link, as in fe80::1%eth0`,
  ENOTFOUND: (where) => `${where} is no host that is known here`,
};

/** Why no agent started, when the reason is the machine; its message is for who started it. */
export class StartError extends Error {
  constructor(message: string, options: ErrorOptions) {
    super(message, options);
    this.name = "StartError";
  }
}

/**
 * Starts the agent and leaves it running until a signal. The first SIGTERM or SIGINT closes it
 * and exits with 0, the second exits at once; until it listens, the first does. Throws
 * `StartError`.
 */
export async function runAgent(config: AgentConfig, log: Logger): Promise<void> {
  sendLogBy(sendNow);
  let agent: Agent | undefined;
  closeOnSignal(() => agent, log);
  agent = await start(config, log);
  log.info({ url: agent.url, pid: process.pid, dialect: config.dialect }, "the agent listens");
  if (config.persona === "envd") return;
  tell(`${urlToOpen(agent.url, config.accessToken)}\n`);
}

/** To stdout, but not by Node's stream: making it sets a flag for all who have it from our parent. */
function tell(line: string): void {
  const stdout = new LineWriter({ fd: 1, describeDropped: () => "" });
  stdout.sendNow = sendNow;
  stdout.write(line);
}

async function start(config: AgentConfig, log: Logger): Promise<Agent> {
  try {
    return await startAgent(config, log);
  } catch (reason) {
    const describe = START_FAILURES[(reason as { code?: string }).code ?? ""];
    if (describe === undefined) throw reason;
    throw new StartError(describe(`port ${config.port} on ${config.host}`), { cause: reason });
  }
}

function closeOnSignal(running: () => Agent | undefined, log: Logger): void {
  let isClosing = false;
  const onSignal = (signal: NodeJS.Signals, number: number) => {
    if (isClosing) process.exit(128 + number);
    isClosing = true;
    log.info({ signal }, "the agent closes");
    const agent = running();
    if (agent === undefined) process.exit(0);
    setTimeout(() => process.exit(1), LAST_MS).unref();
    agent.close(GRACE_MS).then(
      () => process.exit(0),
      (reason: unknown) => {
        log.error({ err: reason }, "the agent did not close cleanly");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  // Node undoes what nohup has set. Whoever is not at a terminal is meant to outlive it.
  process.on("SIGHUP", isatty(0) ? onSignal : () => {});
}
