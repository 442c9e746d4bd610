import { Command, CommanderError, Option } from "commander";
import { READER_GONE_CODE, ReaderGone } from "./byte-output.ts";
import { HOST_COMMANDS } from "./commands.ts";
import { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { reportFailure } from "./report-failure.ts";
import { Targets } from "./targets.ts";
import { UsageError } from "./usage-error.ts";

/**
 * Runs one of the commands that are for the host of a guest, `argv` beginning with its name.
 * Resolves to the exit code. Throws `UsageError`.
 */
export async function runHostCommand(argv: readonly string[]): Promise<number> {
  const split = argv.indexOf("--");
  const words = split < 0 ? argv : argv.slice(0, split);
  const rest = split < 0 ? undefined : argv.slice(split + 1);
  process.stdout.once("error", () => process.exit(READER_GONE_CODE));
  // Remarks are for who wants to read them.
  process.stderr.on("error", () => {});
  if (words.some((word) => word.includes("#token="))) process.title = "thaw";
  let exitCode: number | undefined;
  const program = programOf(rest !== undefined, async (command, operands, flags) => {
    const call = { command, operands, flags, rest, targets: new Targets() };
    exitCode = await runCommand(call);
  });
  try {
    await program.parseAsync(words, { from: "user" });
  } catch (reason) {
    if (!(reason instanceof CommanderError)) throw reason;
    if (reason.exitCode === 0) return 0;
    throw toUsageError(reason, words);
  }
  return exitCode ?? 0;
}

type Action = (
  command: HostCommand,
  operands: string[],
  flags: Record<string, unknown>,
) => Promise<void>;

async function runCommand(options: ConstructorParameters<typeof HostCall>[0]): Promise<number> {
  using call = new HostCall(options);
  try {
    return await options.command.run(call);
  } catch (reason) {
    if (reason instanceof UsageError) throw reason;
    return reason instanceof ReaderGone ? READER_GONE_CODE : reportFailure(reason);
  }
}

/** `isSplit`: a `--` says where a program begins, so flags may stand anywhere before it. */
function programOf(isSplit: boolean, action: Action): Command {
  const program = quiet(new Command("thaw")).enablePositionalOptions().helpCommand(false);
  const groups = new Map<string, Command>();
  for (const command of HOST_COMMANDS) {
    const [first = "", second] = command.name.split(" ");
    if (second === undefined) program.addCommand(commandOf(command, first, isSplit, action));
    else {
      let group = groups.get(first);
      if (group === undefined) {
        group = quiet(new Command(first)).helpCommand(false);
        program.addCommand(group);
        groups.set(first, group);
      }
      group.addCommand(commandOf(command, second, isSplit, action));
    }
  }
  return program;
}

function commandOf(command: HostCommand, word: string, isSplit: boolean, action: Action): Command {
  const made = quiet(new Command(word))
    .summary(command.summary)
    .description(command.summary)
    .usage(`${command.flags === undefined ? "" : "[flags] "}${command.operands}`)
    .argument("[operands...]")
    .configureHelp({ visibleArguments: () => [], helpWidth: 80 })
    .helpOption("-h, --help", "show this");
  if (command.endsFlags === true && !isSplit) made.passThroughOptions();
  for (const { flags, help } of command.flags ?? []) {
    const option = new Option(flags, help);
    // Else a repeated flag would swallow the operands that follow it.
    if (option.variadic) {
      option.variadic = false;
      option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
    }
    made.addOption(option);
  }
  if (command.notes !== undefined) made.addHelpText("after", `\n${command.notes}`);
  return made.action(async (operands: string[], flags: Record<string, unknown>) => {
    await action(command, operands, flags);
  });
}

/** Complaints are thrown, and printed in one place. */
function quiet(command: Command): Command {
  return command.exitOverride().configureOutput({ writeErr: () => {} });
}

function toUsageError(reason: CommanderError, words: readonly string[]): UsageError {
  const name = HOST_COMMANDS.map((command) => command.name)
    .filter((name) => `${words.join(" ")} `.startsWith(`${name} `))
    .at(-1);
  const message = reason.message.replace(/^error: /, "");
  if (reason.code === "commander.help") {
    const [group = ""] = words;
    const known = HOST_COMMANDS.filter(({ name }) => name.startsWith(`${group} `));
    const second = known.map(({ name }) => name.slice(group.length + 1)).join(", ");
    return new UsageError(`${group}: one of ${second} is wanted`, { cause: reason });
  }
  const options = name === undefined ? {} : { command: name };
  return new UsageError(name === undefined ? message : `${name}: ${message}`, {
    cause: reason,
    ...options,
  });
}
