import { COMMIT, ENVD_VERSION, VERSION } from "../config.ts";
import { type DoctorCommand, parseDoctor } from "./doctor.ts";
import { parseServe, type ServeCommand } from "./serve.ts";
import { UsageError } from "./usage-error.ts";

/** What `thaw --help` prints. */
function thawUsage(): string {
  return `Usage: thaw <command>

  thaw serve [flags]   serve processes, files and watches of this machine
  thaw serve --help    list its flags
  thaw doctor clones   show which life of its machine a guest is in
  thaw --version       print the version

Called as envd, through a symlink of that name, it takes envd's flags.
`;
}

/** Reads the command line of `thaw`. Throws `UsageError`. */
export function parseThaw(argv: readonly string[]): ServeCommand | DoctorCommand {
  const [command, ...rest] = argv;
  switch (command) {
    case "serve":
      return parseServe(rest);
    case "doctor":
      return parseDoctor(rest);
    case "--version":
      return {
        kind: "print",
        text: `thaw ${VERSION} (envd ${ENVD_VERSION}, ${COMMIT.slice(0, 12)})\n`,
      };
    case "--help":
    case "-h":
    case "help":
      return { kind: "print", text: thawUsage() };
    case undefined:
      throw new UsageError("no command is given");
    default:
      throw new UsageError(`"${command}" is no command`);
  }
}
