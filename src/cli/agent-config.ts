import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type AgentConfig, defaultConfig, VARIABLES } from "../config.ts";
import {
  badValue,
  toAbsolutePath,
  toAddress,
  toChoice,
  toCount,
  toDurationMs,
  toHttpUrl,
  toPort,
} from "./flag-values.ts";
import type { FlagValues } from "./go-flags.ts";
import { UsageError } from "./usage-error.ts";

const DIALECTS = ["e2b", "wrenn"] as const;
const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

/** What `persona` becomes by `values`, but for its token. Throws `UsageError` for what cannot be. */
export function toAgentConfig(persona: AgentConfig["persona"], values: FlagValues): AgentConfig {
  const given = <T>(name: string, convert: (name: string, value: string) => T): T | undefined => {
    const value = values[name];
    return typeof value === "string" ? convert(name, value) : undefined;
  };
  const config = defaultConfig(persona, dialectOf(values["dialect"]));
  const metadataUrl = given("metadata-url", toHttpUrl);
  const stallTimeoutMs = given("stall-timeout", toDurationMs);
  return {
    ...config,
    ...addressOf(config, given("listen", toAddress), given("port", toPort)),
    tls: tlsOf(values["tls-cert"], values["tls-key"]),
    // Outside a VM, a metadata service is only asked when one is named.
    isNotFc: isTrue(values["isnotfc"] ?? (config.isNotFc && metadataUrl === undefined)),
    cgroupRoot: given("cgroup-root", toAbsolutePath) ?? config.cgroupRoot,
    runDir: given("run-dir", toAbsolutePath) ?? config.runDir,
    heals: !isTrue(values["no-heal"]),
    noCgroups: isTrue(values["no-cgroups"]),
    stallTimeoutMs: stallTimeoutMs ?? config.stallTimeoutMs,
    // Who says a time means it, whatever a peer may hide behind its window.
    largeWindowStallMs: given("stall-patience", toDurationMs) ?? stallTimeoutMs,
    maxConnections: given("max-connections", toCount),
    metadataUrl: metadataUrl ?? config.metadataUrl,
    initialCommand: given("cmd", (_, value) => value) || undefined,
    logLevel:
      given("log-level", (name, value) => toChoice(name, value, LOG_LEVELS)) ??
      (isTrue(values["verbose"]) ? "debug" : config.logLevel),
  };
}

/** The text of a file that `--flag` names. Throws `UsageError` when it cannot be read. */
export function readFlagFile(flag: string, path: string): string {
  return orComplain(
    () => readFileSync(path, "utf8"),
    (reason) =>
      badValue(flag, path, `a readable file (${(reason as { code?: string }).code})`, reason),
  );
}

function dialectOf(value: string | boolean | undefined): AgentConfig["dialect"] {
  if (typeof value === "string") return toChoice("dialect", value, DIALECTS);
  const variable = VARIABLES.dialect();
  const found = DIALECTS.find((dialect) => dialect === (variable ?? "e2b"));
  if (found === undefined) throw new UsageError(`THAW_DIALECT: "${variable}" is not e2b or wrenn`);
  return found;
}

function addressOf(
  config: AgentConfig,
  listen: { host: string; port: number | undefined } | undefined,
  port: number | undefined,
): { host: string; port: number } {
  if (listen?.port !== undefined && port !== undefined && listen.port !== port) {
    throw new UsageError(`--port: "${port}" is not the port of --listen, which is ${listen.port}`);
  }
  return { host: listen?.host ?? config.host, port: port ?? listen?.port ?? config.port };
}

function tlsOf(
  certFile: string | boolean | undefined,
  keyFile: string | boolean | undefined,
): AgentConfig["tls"] {
  if (typeof certFile !== "string" && typeof keyFile !== "string") return undefined;
  if (typeof keyFile !== "string") throw new UsageError("--tls-cert needs --tls-key as well");
  if (typeof certFile !== "string") throw new UsageError("--tls-key needs --tls-cert as well");
  const tls = {
    cert: readFlagFile("tls-cert", certFile),
    key: readFlagFile("tls-key", keyFile),
  };
  checkTls(tls, certFile, keyFile);
  return tls;
}

function checkTls(tls: { cert: string; key: string }, certFile: string, keyFile: string): void {
  const certificate = orComplain(
    () => new X509Certificate(tls.cert),
    (reason) => badValue("tls-cert", certFile, "a certificate in PEM", reason),
  );
  const key = orComplain(
    () => createPrivateKey(tls.key),
    (reason) => badValue("tls-key", keyFile, "a key in PEM", reason),
  );
  if (certificate.checkPrivateKey(key)) return;
  throw badValue("tls-key", keyFile, `the key of the certificate "${certFile}"`);
}

function orComplain<T>(attempt: () => T, complaint: (reason: unknown) => UsageError): T {
  try {
    return attempt();
  } catch (reason) {
    throw complaint(reason);
  }
}

function isTrue(value: string | boolean | undefined): boolean {
  return value === true;
}
