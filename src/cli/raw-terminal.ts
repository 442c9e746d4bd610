import { type ChildProcess, execFileSync, spawn } from "node:child_process";

/**
 * Puts the terminal back when this process was killed without a chance to do it: waits for the end
 * of its stdin, which comes with ours. A word on it says that all is well.
 */
const GUARD = `trap "" INT QUIT TERM HUP TSTP TTOU TTIN
read -r word || exec stty "$1" <&3`;

/**
 * The terminal on stdin without line editing, echo and signals of its own: every key is for the
 * guest. It is put back by `close`, when the process exits in whatever way, and by a second
 * process should this one be killed.
 */
export class RawTerminal implements Disposable {
  readonly #saved: string | undefined;
  #guard: ChildProcess | undefined;
  #isRaw = false;

  constructor() {
    this.#saved = stty("-g");
    process.on("exit", this.#leave);
    this.enter();
  }

  /** Takes the keys. */
  enter(): void {
    if (this.#isRaw) return;
    this.#isRaw = true;
    if (this.#saved !== undefined) this.#guard = startGuard(this.#saved);
    process.stdin.setRawMode(true);
    // Node leaves the output cooked: each line feed of a full-screen program would begin a line.
    if (this.#saved !== undefined) stty("-opost");
  }

  /** Gives the keys back to the terminal. */
  leave(): void {
    this.#leave();
  }

  /** Stops this process as Ctrl-Z stops others, and goes on when it is continued. */
  suspend(): void {
    this.leave();
    process.once("SIGCONT", () => this.enter());
    process.kill(0, "SIGTSTP");
  }

  [Symbol.dispose](): void {
    this.#leave();
    process.off("exit", this.#leave);
  }

  readonly #leave = (): void => {
    if (!this.#isRaw) return;
    this.#isRaw = false;
    try {
      process.stdin.setRawMode(false);
    } catch {
      // A terminal that was closed needs nothing put back.
    }
    this.#guard?.stdin?.end("well\n");
    this.#guard = undefined;
  };
}

/** What `stty` says of the terminal on stdin; `undefined` where there is no such program. */
function stty(argument: string): string | undefined {
  try {
    const stdio = ["inherit", "pipe", "ignore"] as const;
    return execFileSync("stty", [argument], { stdio: [...stdio], encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

function startGuard(saved: string): ChildProcess {
  const stdio = ["pipe", "ignore", "ignore", 0] as const;
  const guard = spawn("sh", ["-c", GUARD, "thaw-guard", saved], { stdio: [...stdio] });
  guard.on("error", () => {});
  guard.stdin?.on("error", () => {});
  guard.unref();
  return guard;
}
