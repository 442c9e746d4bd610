import type { HostCall } from "./host-call.ts";
import type { HostCommand } from "./host-command.ts";
import { UsageError } from "./usage-error.ts";

const BASH = `_thaw() {
  local IFS=$'\\n'
  COMPREPLY=($(thaw completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _thaw thaw
`;

const ZSH = `#compdef thaw
_thaw() {
  local -a found
  found=("\${(@f)$(thaw completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found" ]]; then compadd -- $found; else _files; fi
}
compdef _thaw thaw
`;

const FISH = `function __thaw_words
  set -l words (commandline -opc) (commandline -ct)
  thaw completion words -- $words[2..-1] 2>/dev/null
end
complete -c thaw -a '(__thaw_words)'
`;

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

/** Commands that are not for the host of a guest, but are completed too. */
const OTHERS = ["serve", "help", "--help", "--version"];
/** What is completed instead of a target. */
const INSTEAD: Readonly<Record<string, readonly string[]>> = {
  completion: Object.keys(SCRIPTS),
  doctor: ["clones"],
};

/** Makes a shell complete `thaw`. */
export function completionOf(commands: () => readonly HostCommand[]): HostCommand {
  return {
    name: "completion",
    operands: "bash | zsh | fish",
    summary: "print what makes a shell complete thaw",
    notes: `bash  source <(thaw completion bash)
zsh   source <(thaw completion zsh)
fish  thaw completion fish | source`,
    run: async (call) => {
      const [shell = ""] = call.operands;
      if (shell === "words") process.stdout.write(lines(call, commands()));
      else {
        const script = SCRIPTS[shell];
        if (script === undefined) throw call.usage(`"${shell}" is not bash, zsh or fish`);
        process.stdout.write(script);
      }
      return 0;
    },
  };
}

function lines(call: HostCall, commands: readonly HostCommand[]): string {
  const words = call.rest ?? [];
  const last = words.at(-1) ?? "";
  return candidates(words.slice(0, -1), call, commands)
    .filter((word) => word.startsWith(last) && (last.startsWith("-") || !word.startsWith("-")))
    .map((word) => `${word}\n`)
    .join("");
}

/** What may follow these words. */
function candidates(
  before: readonly string[],
  call: HostCall,
  commands: readonly HostCommand[],
): readonly string[] {
  const [first, second] = before;
  if (first === undefined || (first === "help" && before.length === 1)) {
    return [...new Set(commands.map(({ name }) => name.split(" ")[0] ?? "")), ...OTHERS];
  }
  const seconds = commands.flatMap(({ name }) =>
    name.startsWith(`${first} `) ? [name.slice(first.length + 1)] : [],
  );
  if (seconds.length > 0 && before.length === 1) return seconds;
  const name = seconds.length > 0 ? `${first} ${second}` : first;
  const command = commands.find((one) => one.name === name);
  if (command === undefined || before.includes("--")) return [];
  const flags = (command.flags ?? []).flatMap(({ flags }) => flags.match(/-[-\w]+/g) ?? []);
  const operands = before.slice(seconds.length > 0 ? 2 : 1).filter((word) => !word.startsWith("-"));
  return [...flags, "--help", ...(operands.length === 0 ? targetsOf(command, call) : [])];
}

function targetsOf(command: HostCommand, call: HostCall): readonly string[] {
  const instead = INSTEAD[command.name] ?? [];
  if (!command.operands.includes("TARGET")) return instead;
  try {
    return [...instead, ...call.targetNames()];
  } catch (reason) {
    // Whoever presses Tab is not told of a configuration that is wrong.
    if (reason instanceof UsageError) return instead;
    throw reason;
  }
}
