// oxlint-disable-next-line no-unassigned-import -- it has to come before the codecs
import "./lib/native-base64.ts";
import { basename } from "node:path";
import { envdUsage, parseEnvd } from "./cli/envd.ts";
import { runAgent, StartError } from "./cli/run-agent.ts";
import { parseThaw } from "./cli/thaw.ts";
import { UsageError } from "./cli/usage-error.ts";
import { VARIABLES } from "./config.ts";
import { createLog, type Logger, writeLastWords } from "./log.ts";

/** One binary: the name it is called by says which command line it reads. */
async function main(calledAs: string, argv: readonly string[]): Promise<void> {
  const isEnvd = calledAs === "envd";
  try {
    const command = isEnvd ? parseEnvd(argv) : parseThaw(argv);
    // Who reads a text may have read enough of it.
    if (command.kind !== "run") process.stdout.on("error", () => {});
    if (command.kind === "print") {
      process.stdout.write(command.text);
      return;
    }
    if (command.kind === "task") {
      // A person's stdin, which may still be read, must not keep us here.
      process.exit(await command.run());
    }
    const log = createLog(command.config.logLevel);
    // Who started the agent may have had other ideas; what the agent makes is for all to read.
    process.umask(0o022);
    process.once("exit", () => writeLastWords());
    await runAgent(command.config, log);
    liveOn(log);
  } catch (reason) {
    if (reason instanceof UsageError) {
      fail(2, `${calledAs}: ${reason.message}`, isEnvd ? envdUsage() : hintOf(reason));
    }
    if (reason instanceof StartError) fail(1, `${calledAs}: ${reason.message}`);
    fail(1, `${calledAs}: cannot start: ${String((reason as Error)?.stack ?? reason)}`);
  }
}

/**
 * A bug that nobody caught ends the event that met it and not the agent, which is somebody's only
 * way into a machine: calls, processes and watches have no state in common but what is set in one
 * step, so the others go on as before. What cannot be survived does not come here: a full heap
 * and a failed assertion end the process by themselves, and until the agent listens, whatever is
 * thrown makes it exit with 1.
 */
function liveOn(log: Logger): void {
  const report = (reason: unknown) => {
    try {
      log.error({ err: reason }, "a bug that nobody caught");
    } catch {
      // A log that cannot be written must not end what the bug did not.
    }
  };
  process.on("uncaughtException", report);
  process.on("unhandledRejection", report);
}

function fail(exitCode: number, message: string, advice = ""): never {
  writeLastWords(`${message}\n${advice}`);
  process.exit(exitCode);
}

function hintOf({ command }: UsageError): string {
  const help = command === undefined ? "" : `thaw ${command} --help`;
  return `see "${help || 'thaw --help" and "thaw serve --help'}"\n`;
}

void main(VARIABLES.calledAs() ?? basename(process.argv[1] ?? "thaw"), process.argv.slice(2));
