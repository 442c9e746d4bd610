import { constants } from "node:os";
import koffi from "koffi";

/**
 * The C library's calls that Node does not offer. Only this file knows koffi. Every call here is
 * short and runs on the main thread: koffi's asynchronous calls lose errno.
 */
const libc = koffi.load(null);

/** A function of the C library. Numbers come back as numbers, 64-bit ones possibly as bigint. */
export type LibcFunction = ReturnType<typeof libc.func>;

/** The signature of each function, loaded at its first use so that start-up pays for none. */
const functions = new Map<string, LibcFunction>();

/** A failed system call, in the shape of Node's own errors: `code` is the name of the errno. */
export class SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, errno: number) {
    const code = errnoName(errno);
    super(`${syscall}: ${code}`);
    this.name = "SystemError";
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** Of two names for one number, as EAGAIN and EWOULDBLOCK, the first, which Node's own errors have. */
const errnoNames = new Map(
  Object.entries(constants.errno)
    .toReversed()
    .map(([name, value]) => [value, name]),
);

/** The name of an errno, as in `ENOENT`; `errno N` when it has none. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `errno ${errno}`;
}

/**
 * A function of the C library by its C signature, as in `int dup2(int, int)`.
 * The result is cached by signature.
 */
export function libcFunction(signature: string): LibcFunction {
  let found = functions.get(signature);
  if (found === undefined) {
    found = libc.func(signature);
    functions.set(signature, found);
  }
  return found;
}

/**
 * A function that the running program exports, as Node does those of the OpenSSL in it;
 * `undefined` where it does not. The result is cached by signature.
 */
export function programFunction(signature: string): LibcFunction | undefined {
  try {
    return libcFunction(signature);
  } catch {
    // Not every Node is built to export them, and koffi throws for an unknown symbol.
    return undefined;
  }
}

/** Calls `signature` with `args`; a negative result throws `SystemError`. */
export function callLibc(signature: string, ...args: unknown[]): number {
  const result = Number(libcFunction(signature)(...args));
  if (result < 0) throw new SystemError(nameOf(signature), koffi.errno());
  return result;
}

function nameOf(signature: string): string {
  return /(\w+)\s*\(/.exec(signature)?.[1] ?? signature;
}
