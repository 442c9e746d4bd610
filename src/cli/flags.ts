import type { GoFlagKind } from "./go-flags.ts";

/** A flag, as its reader and its help text need it. */
export interface Flag {
  name: string;
  kind: GoFlagKind;
  /** What its value is called in the help text; absent for booleans. */
  value?: string;
  /** What it is for, with its default, on one line. */
  help: string;
}

/** The flags of the agent under either name, in the order of the help text. */
const SHARED: readonly Flag[] = [
  { name: "port", kind: "text", value: "PORT", help: "port to bind (49983; 0 picks a free one)" },
  { name: "dialect", kind: "text", value: "NAME", help: "host to obey: e2b or wrenn (e2b)" },
  { name: "cmd", kind: "text", value: "COMMAND", help: "run COMMAND at start, with tag init-cmd" },
  { name: "isnotfc", kind: "bool", help: "not in a VM: ask no metadata service" },
  { name: "metadata-url", kind: "text", value: "URL", help: "metadata service to ask" },
  { name: "cgroup-root", kind: "text", value: "DIR", help: "cgroup v2 (/sys/fs/cgroup)" },
  { name: "no-cgroups", kind: "bool", help: "touch no cgroup" },
  { name: "run-dir", kind: "text", value: "DIR", help: "where programs look (/run/e2b)" },
  {
    name: "stall-timeout",
    kind: "text",
    value: "TIME",
    help: "cut peers stopped this long (10s)",
  },
  {
    name: "stall-patience",
    kind: "text",
    value: "TIME",
    help: "the same behind large windows (7m)",
  },
  {
    name: "max-connections",
    kind: "text",
    value: "COUNT",
    help: "connections at most (16384, or half of ulimit -n)",
  },
  { name: "no-heal", kind: "bool", help: "leave what a restore breaks as it is, to see it" },
  {
    name: "log-level",
    kind: "text",
    value: "NAME",
    help: "debug, info, warn, error, silent (info)",
  },
  { name: "verbose", kind: "bool", help: "the same as log-level debug" },
];

/** What only `thaw serve` takes: how to be safe outside a VM. */
const SERVE_ONLY: readonly Flag[] = [
  { name: "listen", kind: "text", value: "HOST:PORT", help: "address to bind (127.0.0.1)" },
  { name: "token-file", kind: "text", value: "FILE", help: "token that requests must carry" },
  { name: "no-token", kind: "bool", help: "let everybody in who reaches the port" },
  { name: "tls-cert", kind: "text", value: "FILE", help: "certificate in PEM: speak TLS too" },
  { name: "tls-key", kind: "text", value: "FILE", help: "its key in PEM" },
];

/** What only `envd` takes. */
const ENVD_ONLY: readonly Flag[] = [
  { name: "version", kind: "bool", help: "print the version and exit" },
  { name: "commit", kind: "bool", help: "print the commit and exit" },
  { name: "resume-handover", kind: "bool", help: "taken, without effect" },
];

/** The flags of `thaw serve`. */
export const SERVE_FLAGS: readonly Flag[] = [...SERVE_ONLY, ...SHARED];

/** The flags of the agent called as `envd`. */
export const ENVD_FLAGS: readonly Flag[] = [...ENVD_ONLY, ...SHARED];

/** One line for each flag, with `dashes` before its name. */
export function describeFlags(flags: readonly Flag[], dashes: "-" | "--"): string {
  const left = ({ name, value }: Flag) =>
    `  ${dashes}${name}${value === undefined ? "" : ` ${value}`}`;
  const width = Math.max(...flags.map((flag) => left(flag).length)) + 2;
  return flags.map((flag) => `${left(flag).padEnd(width)}${flag.help}\n`).join("");
}
