import type { HostCall } from "./host-call.ts";
import type { HostFlag } from "./host-command.ts";

/** Whom a program or a file is for. */
export const USER_FLAG: HostFlag = {
  flags: "-u, --user <USER>",
  help: "as this user of the guest (the guest's default)",
};

/** Where a program begins. */
export const WORKDIR_FLAG: HostFlag = {
  flags: "-w, --workdir <DIR>",
  help: "in this directory (the user's home)",
};

/** A name to find a program by. */
export const TAG_FLAG: HostFlag = {
  flags: "--tag <NAME>",
  help: "a name for attach, logs and kill",
};

/** A variable for a program. */
export const ENV_FLAG: HostFlag = {
  flags: "-e, --env <KEY=VALUE...>",
  help: "a variable, or KEY alone for its value here",
};

/** What begins an escape in a terminal. */
export const ESCAPE_FLAG: HostFlag = {
  flags: "--escape <CHAR>",
  help: 'escape character, or "none" (~)',
};

/** The escape character. Throws `UsageError`. */
export function escapeOf(call: HostCall): string | undefined {
  const text = call.text("escape") ?? "~";
  if (text === "none") return undefined;
  if (/^[\x21-\x7e]$/.test(text)) return text;
  throw call.usage(`--escape: "${text}" is not one visible character or none`);
}

/** The variables that a program gets. Throws `UsageError`. */
export function variablesOf(call: HostCall): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const text of call.texts("env")) {
    const [, key, value] = /^([^=]+)(?:=(.*))?$/s.exec(text) ?? [];
    if (key === undefined) throw call.usage(`--env: "${text}" is not KEY=VALUE`);
    const found = value ?? process.env[key];
    if (found !== undefined) variables[key] = found;
  }
  return variables;
}
