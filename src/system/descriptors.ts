import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { callLibc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const O_CLOEXEC = 0o2000000;

/** Both ends of a pipe. Neither is inherited by programs. */
export function openPipe(): { readFd: number; writeFd: number } {
  const fds = new Int32Array(2);
  callLibc("int pipe2(_Out_ int *fds, int flags)", fds, O_CLOEXEC);
  return { readFd: fds[0] as number, writeFd: fds[1] as number };
}

/** How `adoptDescriptor` reads: `onBytes` sees a view that is only valid during the call. */
export interface ReadInto {
  /** Where every read lands. May be shared by all readers, as reads are handed over at once. */
  buffer: Uint8Array;
  /** Takes `bytes` and says whether to go on reading; `false` pauses until `resume()`. */
  onBytes(bytes: Uint8Array): boolean;
}

/**
 * Turns a descriptor that is a pipe or a stream socket into a `Socket` of the event loop, which
 * owns it from then on. Without `read` nothing is read.
 */
export function openDescriptor(fd: number, read?: ReadInto): Socket {
  if (read === undefined) return new Socket({ fd, readable: false, writable: true });
  return new Socket({
    fd,
    readable: true,
    writable: false,
    onread: {
      buffer: read.buffer,
      callback: (size, buffer) => read.onBytes(buffer.subarray(0, size)),
    },
  });
}

/**
 * Turns any pollable descriptor (a terminal's master, an inotify queue) into a duplex `Socket` of
 * the event loop, which owns the returned `fd`; the given one stays open and the caller's.
 *
 * Node only takes pipes and sockets, so it is given a socket whose file is then replaced: the
 * event loop reads and writes descriptors without asking again what they are.
 */
export function adoptDescriptor(fd: number, read: ReadInto): { socket: Socket; fd: number } {
  const pair = new Int32Array(2);
  callLibc(
    "int socketpair(int domain, int type, int protocol, _Out_ int *fds)",
    AF_UNIX,
    SOCK_STREAM | SOCK_CLOEXEC,
    0,
    pair,
  );
  const adopted = pair[0] as number;
  closeSync(pair[1] as number);
  const socket = new Socket({
    fd: adopted,
    readable: true,
    writable: true,
    allowHalfOpen: true,
    onread: {
      buffer: read.buffer,
      callback: (size, buffer) => read.onBytes(buffer.subarray(0, size)),
    },
  });
  socket.pause();
  callLibc("int dup3(int from, int to, int flags)", fd, adopted, O_CLOEXEC);
  return { socket, fd: adopted };
}
