import { type AgentConfig, COMMIT, ENVD_VERSION } from "../config.ts";
import { toAgentConfig } from "./agent-config.ts";
import { describeFlags, ENVD_FLAGS } from "./flags.ts";
import { parseGoFlags } from "./go-flags.ts";

/** What the command line asks for: a text, or an agent. */
export type EnvdCommand = { kind: "print"; text: string } | { kind: "run"; config: AgentConfig };

const KINDS = new Map(ENVD_FLAGS.map(({ name, kind }) => [name, kind]));

/** What `envd -help` prints. */
export function envdUsage(): string {
  return `Usage of envd:\n${describeFlags(ENVD_FLAGS, "-")}`;
}

/** Reads the command line of the agent called as `envd`. Throws `UsageError`. */
export function parseEnvd(argv: readonly string[]): EnvdCommand {
  const values = parseGoFlags(KINDS, argv);
  if (values["help"] === true) return { kind: "print", text: envdUsage() };
  if (values["version"] === true) return { kind: "print", text: `${ENVD_VERSION}\n` };
  if (values["commit"] === true) return { kind: "print", text: `${COMMIT}\n` };
  return { kind: "run", config: toAgentConfig("envd", values) };
}
