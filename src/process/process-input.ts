import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import { AgentError } from "../errors.ts";
import { messageOf } from "../lib/error-text.ts";
import { openDescriptor } from "../system/descriptors.ts";
import { Input, type InputPlace } from "./input.ts";
import { type PtySize, resizePty } from "./pty.ts";

/** What a process can be told: by its stdin or its terminal. */
export class ProcessInput {
  readonly #pid: number;
  #stdin: Input | undefined;
  #terminal: { masterFd: number | undefined; input: Input } | undefined;

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** How many bytes the machine has taken. */
  get writtenBytes(): number {
    return (this.#stdin ?? this.#terminal?.input)?.writtenBytes ?? 0;
  }

  /** Writes to a pipe from now on, which it owns. */
  attachStdin(fd: number): void {
    this.#stdin = new Input(quiet(openDescriptor(fd)));
  }

  /** Writes to a terminal from now on by `socket`. It owns `masterFd`. */
  attachTerminal(masterFd: number, socket: Socket): void {
    this.#terminal = { masterFd, input: new Input(socket) };
  }

  /**
   * Writes to stdin; resolves when the machine has taken it. With a place, with the offset that
   * comes next; throws `OffsetError` for one that would leave a hole.
   */
  async writeStdin(
    bytes: Uint8Array,
    signal: AbortSignal,
    place?: InputPlace,
  ): Promise<number | undefined> {
    if (this.#terminal !== undefined) {
      throw new AgentError(
        "internal",
        "error writing to stdin: tty assigned to process — input should be written to the pty, not the stdin",
      );
    }
    // What is repeated may have been written before stdin was closed.
    const isClosed = this.#stdin?.isClosed === true && place === undefined;
    if (this.#stdin === undefined || isClosed) {
      throw new AgentError("internal", "error writing to stdin: stdin not enabled or closed");
    }
    return await this.#write(this.#stdin, "stdin", signal, { bytes, place });
  }

  /** Writes to the terminal, as `writeStdin` does to stdin. */
  async writePty(
    bytes: Uint8Array,
    signal: AbortSignal,
    place?: InputPlace,
  ): Promise<number | undefined> {
    if (this.#terminal === undefined) {
      throw new AgentError(
        "internal",
        "error writing to tty: tty not assigned to process — input should be written to the stdin, not the tty",
      );
    }
    return await this.#write(this.#terminal.input, "tty", signal, { bytes, place });
  }

  /** Gives the process end of file. Again, or without a stdin, it does nothing. */
  closeStdin(): void {
    if (this.#terminal !== undefined) {
      throw new AgentError(
        "unknown",
        "error closing stdin: cannot close stdin for PTY process — send Ctrl+D (0x04) instead",
      );
    }
    this.#stdin?.close();
  }

  /** Changes the terminal's size. A terminal that has ended is left alone. */
  resize(size: PtySize): void {
    if (this.#terminal === undefined) {
      throw new AgentError("internal", "error resizing tty: tty not assigned to process");
    }
    const { masterFd } = this.#terminal;
    if (masterFd !== undefined) resizePty(masterFd, size);
  }

  /** Lets go of stdin. What still waits fails. */
  destroyStdin(): void {
    this.#stdin?.destroy();
  }

  /**
   * Lets go of the terminal. Not before the program has been reaped: one that closes its outputs before it exits would be
   * killed by the hang-up.
   */
  closeTerminal(): void {
    const { masterFd } = this.#terminal ?? {};
    if (this.#terminal === undefined || masterFd === undefined) return;
    this.#terminal.masterFd = undefined;
    closeSync(masterFd);
  }

  async #write(
    input: Input,
    what: string,
    signal: AbortSignal,
    { bytes, place }: { bytes: Uint8Array; place: InputPlace | undefined },
  ): Promise<number | undefined> {
    try {
      if (place !== undefined) return await input.writeAt(place, bytes, signal);
      await input.write(bytes, signal);
      return undefined;
    } catch (cause) {
      if (cause instanceof AgentError || signal.aborted) throw cause;
      const message = `error writing to ${what}: error writing to ${what} of process '${this.#pid}': ${messageOf(cause)}`;
      throw new AgentError("internal", message, { cause });
    }
  }
}

/** A socket whose errors reach those who write; between writes there is nobody to tell. */
function quiet(socket: Socket): Socket {
  return socket.on("error", () => {});
}
