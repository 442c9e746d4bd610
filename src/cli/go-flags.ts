import { UsageError } from "./usage-error.ts";

/** What a flag takes: nothing or `=true`/`=false`, or a text. */
export type GoFlagKind = "bool" | "text";

/** What was given; of a flag given twice, the last. */
export type FlagValues = Record<string, string | boolean | undefined>;

/** The spellings that Go's strconv.ParseBool takes. */
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...["1", "t", "T", "TRUE", "true", "True"].map((word) => [word, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((word) => [word, false] as const),
]);

/**
 * Reads flags as Go's `flag` package does: one or two dashes, `-x=v` or `-x v`, a boolean only
 * with `=`; `--` or the first word that is no flag ends them, and what follows is ignored.
 * `-h` and `-help` are given as `help`. Throws `UsageError`, in Go's words.
 */
export function parseGoFlags(
  kinds: ReadonlyMap<string, GoFlagKind>,
  argv: readonly string[],
): FlagValues {
  // Without a prototype, so that no flag can be called after what every object has.
  const values: FlagValues = Object.create(null);
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (!word.startsWith("-") || word === "-" || word === "--") break;
    const { name, value } = splitFlag(word);
    const kind = kinds.get(name);
    if (kind === undefined) {
      if (name !== "help" && name !== "h") {
        throw new UsageError(`flag provided but not defined: -${name}`);
      }
      return { help: true };
    }
    if (kind === "bool") values[name] = toBoolean(name, value);
    else if (value !== undefined) values[name] = value;
    else if (++at < argv.length) values[name] = argv[at] ?? "";
    else throw new UsageError(`flag needs an argument: -${name}`);
  }
  return values;
}

function splitFlag(word: string): { name: string; value: string | undefined } {
  const text = word.replace(/^--?/, "");
  if (text === "" || text.startsWith("-") || text.startsWith("=")) {
    throw new UsageError(`bad flag syntax: ${word}`);
  }
  const equals = text.indexOf("=");
  if (equals < 0) return { name: text, value: undefined };
  return { name: text.slice(0, equals), value: text.slice(equals + 1) };
}

function toBoolean(name: string, value: string | undefined): boolean {
  if (value === undefined) return true;
  const found = BOOLEANS.get(value);
  if (found === undefined) {
    throw new UsageError(`invalid boolean value "${value}" for -${name}: parse error`);
  }
  return found;
}
