import { parseArgs } from "node:util";
import { type AgentConfig, VARIABLES } from "../config.ts";
import { randomText } from "../system/random.ts";
import { readFlagFile, toAgentConfig } from "./agent-config.ts";
import { describeFlags, SERVE_FLAGS } from "./flags.ts";
import type { FlagValues } from "./go-flags.ts";
import { UsageError } from "./usage-error.ts";

/** 131 bits of the kernel's randomness. */
const TOKEN_LENGTH = 22;

/** What the command line asks for: a text, or an agent. */
export type ServeCommand = { kind: "print"; text: string } | { kind: "run"; config: AgentConfig };

/** What `thaw serve --help` prints. */
function serveUsage(): string {
  return `Usage: thaw serve [flags]

Serves processes, files and watches of this machine on one port and prints its
URL. The token is random, unless --token-file or the variable THAW_TOKEN has it.

${describeFlags(SERVE_FLAGS, "--")}`;
}

/** Reads what follows `thaw serve`. Throws `UsageError`. */
export function parseServe(argv: readonly string[]): ServeCommand {
  const values = parseFlags(argv);
  if (values["help"] === true) return { kind: "print", text: serveUsage() };
  const config = toAgentConfig("thaw", values);
  return { kind: "run", config: { ...config, accessToken: tokenOf(values) } };
}

/** The one URL to open: where `agentUrl` leads from this machine, with the token in its fragment. */
export function urlToOpen(agentUrl: string, accessToken: string | undefined): string {
  const url = new URL(agentUrl);
  // Nobody can connect to "every address".
  if (url.hostname === "0.0.0.0") url.hostname = "127.0.0.1";
  if (url.hostname === "[::]") url.hostname = "[::1]";
  return accessToken === undefined
    ? url.href
    : `${url.href}#token=${encodeURIComponent(accessToken)}`;
}

function parseFlags(argv: readonly string[]): FlagValues {
  const options = Object.fromEntries(
    SERVE_FLAGS.map(({ name, kind }) => [
      name,
      { type: kind === "bool" ? ("boolean" as const) : ("string" as const) },
    ]),
  );
  const help = { help: { type: "boolean", short: "h" } } as const;
  try {
    const { values } = parseArgs({ args: [...argv], options: { ...options, ...help } });
    return values;
  } catch (reason) {
    if (!(reason instanceof TypeError)) throw reason;
    const [sentence = ""] = reason.message.split(/[\n.] ?(?=[A-Z]|$)/);
    throw new UsageError(sentence.charAt(0).toLowerCase() + sentence.slice(1), { cause: reason });
  }
}

function tokenOf(values: FlagValues): string | undefined {
  const file = values["token-file"];
  if (values["no-token"] === true) {
    if (file !== undefined) throw new UsageError("--no-token and --token-file exclude each other");
    return undefined;
  }
  if (typeof file === "string") {
    return toToken(readFlagFile("token-file", file).trim(), `--token-file: "${file}"`);
  }
  const variable = VARIABLES.token();
  return variable === undefined ? randomText(TOKEN_LENGTH) : toToken(variable, "THAW_TOKEN");
}

/** `source` is named instead of the token, which must not show. */
function toToken(text: string, source: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new UsageError(`${source} must hold one word of visible ASCII`);
}
