import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { VARIABLES } from "../config.ts";
import { UsageError } from "./usage-error.ts";

/** A guest that can be called. */
export interface Target {
  url: string;
  token: string | undefined;
  user: string | undefined;
  /** As the caller wrote it, without its token. */
  label: string;
}

/** A path of a guest. */
export interface RemotePath {
  target: Target;
  /** Empty: the user's home. */
  path: string;
}

/** A target as the configuration has it. */
interface NamedTarget {
  url: string;
  token?: string;
  tokenFile?: string;
  user?: string;
}

interface Configuration {
  targets: Readonly<Record<string, NamedTarget>>;
  default: string | undefined;
}

/** Where an agent is that was started without a word. */
const HERE = "http://127.0.0.1:49983";

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
const HOST_AND_PORT = /^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]#]+):(\d{1,5})(#.*)?$/;
const WHOLE_URL = /^https?:\/\/(\[[^\]]+\]|[^\s:/[\]]+):\d{1,5}\/?(#[^:]*)?$/;
/** A URL up to its port, a fragment with the token, and the path behind a colon. */
const URL_AND_PATH = /^(https?:\/\/(?:\[[^\]]+\]|[^\s:/[\]#]+)(?::\d+)?\/?(?:#[^:]*)?):(.*)$/s;
const HOST_PORT_AND_PATH = /^((?:\[[0-9a-fA-F:.]+\]|[^\s:/[\]#]+):\d{1,5}(?:#[^:]*)?):(.*)$/s;
const NAME_AND_PATH = /^([A-Za-z0-9_][A-Za-z0-9_.-]*)?:(.*)$/s;

/**
 * Finds guests by what a person writes: a URL, `HOST:PORT`, a name of the configuration file, or `:`
 * for the default of that file, without one the agent of this machine. The file is read when it is
 * first needed.
 */
export class Targets {
  readonly #path: string;
  #configuration: Configuration | undefined;

  /** `path`: default `$THAW_CONFIG`, else `~/.config/thaw/config.json`. */
  constructor(path = VARIABLES.configFile() ?? join(homedir(), ".config/thaw/config.json")) {
    this.#path = path;
  }

  /** The names that the configuration knows. */
  names(): string[] {
    return Object.keys(this.#read().targets);
  }

  /** Throws `UsageError` for what is none of them. */
  find(text: string | undefined): Target {
    if (text === undefined || text === ":") return this.#default();
    if (/^https?:\/\//.test(text)) return atUrl(text);
    if (HOST_AND_PORT.test(text)) return atUrl(`http://${text}`);
    const named = NAME.test(text) ? this.#read().targets[text] : undefined;
    if (named !== undefined) return this.#named(text, named);
    throw new UsageError(
      `"${withoutToken(text)}" is no target: a URL, HOST:PORT or a name of ${this.#path} is`,
    );
  }

  /** Reads `TARGET:PATH`. `undefined` for a path of this machine: with a slash before any colon. */
  splitPath(text: string): RemotePath | undefined {
    if (WHOLE_URL.test(text)) return undefined;
    const match = URL_AND_PATH.exec(text) ?? HOST_PORT_AND_PATH.exec(text);
    if (match !== null) return { target: this.find(match[1]), path: match[2] ?? "" };
    if (/^https?:\/\//.test(text)) return undefined;
    const [, name, path] = NAME_AND_PATH.exec(text) ?? [];
    if (path === undefined) return undefined;
    // `host:49983` alone is a target and no path.
    if (HOST_AND_PORT.test(text) && this.#read().targets[name ?? ""] === undefined) {
      return undefined;
    }
    return { target: this.find(name), path };
  }

  #default(): Target {
    const { targets, default: name } = this.#read();
    const named = name === undefined ? undefined : targets[name];
    if (name !== undefined && named !== undefined) return this.#named(name, named);
    return atUrl(HERE);
  }

  #named(name: string, { url, token, tokenFile, user }: NamedTarget): Target {
    const whole = url.includes("://") ? url : `http://${url}`;
    if (!URL.canParse(whole)) throw this.#wrong(`targets.${name}.url: "${url}" is no URL`);
    const target = atUrl(whole);
    const own = token ?? (tokenFile === undefined ? undefined : this.#tokenOf(name, tokenFile));
    const isInUrl = whole.includes("#token=");
    return { ...target, token: isInUrl ? target.token : (own ?? target.token), user, label: name };
  }

  #tokenOf(name: string, file: string): string {
    try {
      return readFileSync(file.replace(/^~(?=\/)/, homedir()), "utf8").trim();
    } catch (reason) {
      const { code } = reason as { code?: string };
      throw this.#wrong(`targets.${name}.tokenFile: "${file}" cannot be read (${code})`, reason);
    }
  }

  #read(): Configuration {
    this.#configuration ??= this.#check(this.#parse());
    return this.#configuration;
  }

  #parse(): unknown {
    try {
      return JSON.parse(readFileSync(this.#path, "utf8"));
    } catch (reason) {
      if ((reason as { code?: string }).code === "ENOENT") return {};
      throw this.#wrong(reason instanceof Error ? reason.message : String(reason), reason);
    }
  }

  #check(content: unknown): Configuration {
    if (!isObject(content)) throw this.#wrong("an object is wanted");
    const targets = content["targets"] ?? {};
    if (!isObject(targets)) throw this.#wrong("targets: an object is wanted");
    for (const [name, target] of Object.entries(targets)) this.#checkTarget(name, target);
    const name = content["default"];
    if (name !== undefined && (typeof name !== "string" || !Object.hasOwn(targets, name))) {
      throw this.#wrong(`default: ${JSON.stringify(name)} is none of the targets`);
    }
    // Without a prototype, so that no target can be called after what every object has.
    const known = Object.assign(Object.create(null), targets) as Record<string, NamedTarget>;
    return { targets: known, default: name };
  }

  #checkTarget(name: string, target: unknown): void {
    if (!NAME.test(name)) throw this.#wrong(`targets: "${name}" is no name`);
    if (!isObject(target)) throw this.#wrong(`targets.${name}: an object is wanted`);
    if (typeof target["url"] !== "string") throw this.#wrong(`targets.${name}.url is missing`);
    for (const field of ["token", "tokenFile", "user"]) {
      const value = target[field];
      if (value === undefined || typeof value === "string") continue;
      throw this.#wrong(`targets.${name}.${field}: a text is wanted`);
    }
  }

  #wrong(message: string, cause?: unknown): UsageError {
    return new UsageError(`${this.#path}: ${message}`, { cause });
  }
}

function atUrl(text: string): Target {
  if (!URL.canParse(text)) throw new UsageError(`"${withoutToken(text)}" is not a URL`);
  const url = new URL(text);
  const token = new URLSearchParams(url.hash.slice(1)).get("token") ?? VARIABLES.token();
  url.hash = "";
  const plain = url.href.replace(/\/$/, "");
  return { url: plain, token, user: undefined, label: plain.replace(/^http:\/\//, "") };
}

function withoutToken(text: string): string {
  return text.replace(/#.*/s, "");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
