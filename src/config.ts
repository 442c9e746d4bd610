import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Dialect } from "./init/settings.ts";

/** The version that clients gate features on: everything on, no live-upgrade invitation. */
export const ENVD_VERSION = "0.6.11";

declare const BUILD: { version: string; commit: string } | undefined;

/** The version of thaw itself; `dev` when it runs from its sources. */
export const VERSION = typeof BUILD === "undefined" ? "dev" : BUILD.version;

/** The commit that was built; `unknown` when it was not built from a repository. */
export const COMMIT = typeof BUILD === "undefined" ? "unknown" : BUILD.commit;

/** The variables that are read, apart from PATH. Set but empty counts as not set. */
export const VARIABLES = {
  /** The name the launcher was called by. */
  calledAs: () => process.env["THAW_CALLED_AS"] || undefined,
  /** The access token, served and sent, where the command line would show it to everybody. */
  token: () => process.env["THAW_TOKEN"] || undefined,
  /** The dialect, for images whose start line takes no flag. */
  dialect: () => process.env["THAW_DIALECT"] || undefined,
  /** Where the command line on the host finds its targets. */
  configFile: () => process.env["THAW_CONFIG"] || undefined,
  /** The terminal of who calls, as programs in the guest are to know it. */
  terminal: () => process.env["TERM"] || undefined,
  /** Whether texts are to have no colours (https://no-color.org). */
  isColourless: () => Boolean(process.env["NO_COLOR"]),
  /** The launcher's soft limit of open files, which Node raises for itself. */
  softFileLimit: () => Number(process.env["THAW_SOFT_FILE_LIMIT"]) || undefined,
};

/** Everything that can be set from outside. Built from the command line and by tests. */
export interface AgentConfig {
  /** Called as `envd`: the contract's defaults. Called as `thaw`: safe on a shared machine. */
  persona: "thaw" | "envd";
  /** Which host's reading holds where the two differ. Default `e2b`. */
  dialect: Dialect;
  /** The address to bind. Default 127.0.0.1 for `thaw`, 0.0.0.0 for `envd`. */
  host: string;
  /** The port to bind. Default 49983; 0 picks a free one. */
  port: number;
  /** The token required from the start; `undefined` leaves the agent open until `/init`. */
  accessToken: string | undefined;
  /** Certificate and key in PEM; given, the same port also speaks TLS. */
  tls: { cert: string; key: string } | undefined;
  /** Not in a VM: no metadata service, no log export. */
  isNotFc: boolean;
  /** Where cgroup v2 is mounted. Default /sys/fs/cgroup. */
  cgroupRoot: string;
  /** Never touch cgroups. */
  noCgroups: boolean;
  /** How long a stream's peer may make no progress at all, in ms. Default 10,000. */
  stallTimeoutMs: number;
  /**
   * The most a peer is waited for that can read behind a large receive window without showing it,
   * in ms. Default 420,000; `stallTimeoutMs` when that is not its default.
   */
  largeWindowStallMs: number | undefined;
  /**
   * How many connections there may be, beside a reserve of 32 for control calls. Default 16,384, or
   * half of the open files that the agent may have when that is less.
   */
  maxConnections: number | undefined;
  /** The metadata service. Default http://169.254.169.254. */
  metadataUrl: string;
  /** The directory for the files of the contract. Default /run/e2b or /run/wrenn. */
  runDir: string;
  /** Where output of processes is kept that is not held in memory, in files without a name. */
  spillDir: string;
  /** Where programs read which generation of the machine this is. Default /run/thaw. */
  generationDir: string;
  /** Whether a restore is healed. `false` only to show what happens otherwise. Default true. */
  heals: boolean;
  /** The hosts file that `/init` edits. Default /etc/hosts. */
  hostsFile: string;
  /** Whether `/init` may set the machine's clock. Default: only called as `envd`. */
  setsClock: boolean;
  /** A directory on the file system that `/fsfreeze` stops. Default /. */
  frozenPath: string;
  /** The CA bundle that `/init` appends to. Default /etc/ssl/certs/ca-certificates.crt. */
  caBundleFile: string;
  /** Where the installed CA is kept. Default /usr/local/share/ca-certificates/e2b-ca.crt. */
  caExtraFile: string;
  /**
   * The guest's outer address, where services on loopback are made reachable. Default
   * 169.254.0.21. Only in a VM; `undefined` forwards nothing there either.
   */
  forwardAddress: string | undefined;
  /** How long a connection may take to show what it speaks, in ms. Default 10,000. */
  sniffTimeoutMs: number;
  /** The thaw-spawn binary. Default: beside the bundle, or the checkout's own. */
  spawnHelper: string;
  /** The built web terminal. Default: beside the bundle, or the checkout's own. */
  webDir: string;
  /** The PATH of every program. Default: the agent's own. */
  searchPath: string;
  /** The soft limit of open files of every program; `undefined` leaves the agent's own. */
  softFileLimit: number | undefined;
  /** Run by a login shell of the default user once the agent listens; `undefined` runs nothing. */
  initialCommand: string | undefined;
  /** What is logged. Default `info`. */
  logLevel: "debug" | "info" | "warn" | "error" | "silent";
}

const STALL_TIMEOUT_MS = 10_000;
const LARGE_WINDOW_STALL_MS = 420_000;

/** For how long the peers of a stream are waited for. */
export function stallTimesOf({ stallTimeoutMs, largeWindowStallMs }: AgentConfig): {
  stallMs: number;
  largeWindowMs: number;
} {
  const usualMs = stallTimeoutMs === STALL_TIMEOUT_MS ? LARGE_WINDOW_STALL_MS : stallTimeoutMs;
  return { stallMs: stallTimeoutMs, largeWindowMs: largeWindowStallMs ?? usualMs };
}

/** The defaults for `persona` and `dialect`. */
export function defaultConfig(persona: "thaw" | "envd", dialect: Dialect = "e2b"): AgentConfig {
  return {
    persona,
    dialect,
    host: persona === "envd" ? "0.0.0.0" : "127.0.0.1",
    port: 49983,
    accessToken: undefined,
    tls: undefined,
    isNotFc: persona === "thaw",
    cgroupRoot: "/sys/fs/cgroup",
    noCgroups: false,
    stallTimeoutMs: STALL_TIMEOUT_MS,
    largeWindowStallMs: undefined,
    maxConnections: undefined,
    metadataUrl: "http://169.254.169.254",
    runDir: dialect === "wrenn" ? "/run/wrenn" : "/run/e2b",
    spillDir: "/var/tmp",
    generationDir: "/run/thaw",
    heals: true,
    hostsFile: "/etc/hosts",
    setsClock: persona === "envd",
    frozenPath: "/",
    caBundleFile: "/etc/ssl/certs/ca-certificates.crt",
    caExtraFile: "/usr/local/share/ca-certificates/e2b-ca.crt",
    forwardAddress: "169.254.0.21",
    sniffTimeoutMs: 10_000,
    spawnHelper: spawnHelperPath(),
    webDir: webDirPath(),
    searchPath:
      process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    softFileLimit: VARIABLES.softFileLimit(),
    initialCommand: undefined,
    logLevel: "info",
  };
}

/** Where thaw-spawn is: the checkout's own for this machine, or beside the bundle. */
function spawnHelperPath(): string {
  const beside = join(import.meta.dirname, "thaw-spawn");
  if (existsSync(beside)) return beside;
  return join(import.meta.dirname, "..", "native", `linux-${process.arch}`, "thaw-spawn");
}

/** Where the page is: the build's, beside the bundle or seen from the sources. */
function webDirPath(): string {
  const beside = join(import.meta.dirname, "web");
  const isBuilt = existsSync(join(beside, "files.json"));
  return isBuilt ? beside : join(import.meta.dirname, "..", "dist", "web");
}
