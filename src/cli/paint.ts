import { isatty } from "node:tty";
import { VARIABLES } from "../config.ts";

/** `text` in grey where `fd` is a terminal that may have colours. */
export function grey(text: string, fd: 1 | 2): string {
  return isatty(fd) && !VARIABLES.isColourless() ? `\x1b[90m${text}\x1b[0m` : text;
}

/** One grey line on stderr: what a person should know and a program need not. */
export function remark(text: string): void {
  process.stderr.write(`${grey(`thaw: ${text}`, 2)}\n`);
}

/** Says that the guest is out of reach for a while. */
export function remarkCut(): void {
  remark("the connection was cut; going on as soon as the guest answers");
}
