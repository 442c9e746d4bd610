import { COMMIT, ENVD_VERSION, VERSION } from "../config.ts";
import { parseServe, type ServeCommand } from "./serve.ts";
import { UsageError } from "./usage-error.ts";

/** What it asks for on the host of a guest: a task, which gives the exit code. */
export interface HostTask {
  kind: "task";
  run: () => Promise<number>;
}

/** What `thaw --help` prints. */
function thawUsage(): string {
  return `Usage: thaw COMMAND [FLAGS] [TARGET] ...

  serve                   be the agent of this machine
  exec, shell             run a program in a guest, open a shell
  attach, logs            go on with a program that runs, show what it wrote
  ps, top, kill           what runs and how it is; end it
  cp, sync                copy files and directories both ways, resumed
  ls cat rm mkdir mv      files of a guest
  watch                   changes in a directory of a guest
  ports, forward          what listens in a guest; reach it from here
  snapshot prepare | restore | status   bring a guest through a snapshot
  doctor                  is a guest well? clones: do two draw the same numbers?
  completion              for bash, zsh and fish

TARGET is a URL, HOST:PORT, or a name of ~/.config/thaw/config.json; without it,
or as ":", the default of that file, else http://127.0.0.1:49983. The token is
that file's, THAW_TOKEN's or the URL's (#token=...).

"thaw help COMMAND" tells more. Called as envd, it takes envd's flags.
`;
}

/** Reads the command line of `thaw`. Throws `UsageError`. */
export function parseThaw(argv: readonly string[]): ServeCommand | HostTask {
  const [command, ...rest] = argv;
  switch (command) {
    case "serve":
      return parseServe(rest);
    case "--version":
      return {
        kind: "print",
        text: `thaw ${VERSION} (envd ${ENVD_VERSION}, ${COMMIT.slice(0, 12)})\n`,
      };
    case "--help":
    case "-h":
    case undefined:
      return helpOf(command === undefined ? undefined : []);
    case "help":
      return helpOf(rest);
    default:
      return hostTask(argv);
  }
}

function helpOf(words: readonly string[] | undefined): ServeCommand | HostTask {
  if (words === undefined) throw new UsageError("no command is given");
  if (words.length === 0) return { kind: "print", text: thawUsage() };
  return parseThaw([...words, "--help"]);
}

function hostTask(argv: readonly string[]): HostTask {
  return {
    kind: "task",
    run: async () => {
      // The agent starts without what only a caller needs.
      const { runHostCommand } = await import("./host.ts");
      return await runHostCommand(argv);
    },
  };
}
