import { libcFunction } from "../../src/system/libc.ts";
import { tcpInfo } from "../../src/system/tcp.ts";

const AF_INET = 2;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
/** From asm-generic/ioctls.h. */
const FIONREAD = 0x541b;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const TICKS_PER_S = 4;

/**
 * A TCP connection to this machine with a receive buffer of a size of choice, which has to be set
 * before it connects. Nothing is read but what a test asks for: no stream of Node reads ahead.
 */
export class NarrowSocket implements Disposable {
  readonly #fd: number;
  /** Bytes read so far. */
  receivedBytes = 0;
  /** Whether the other side has closed or reset it, as far as reading has shown. */
  hasEnded = false;
  #reading: NodeJS.Timeout | undefined;

  /** `receiveBufferBytes`: for SO_RCVBUF; `undefined` leaves the kernel's own, which grows. */
  constructor(port: number, receiveBufferBytes?: number) {
    this.#fd = call(
      "int socket(int domain, int type, int protocol)",
      AF_INET,
      SOCK_STREAM_CLOEXEC,
      0,
    );
    if (receiveBufferBytes !== undefined) {
      call(
        "int setsockopt(int fd, int level, int name, const int *value, unsigned int length)",
        this.#fd,
        SOL_SOCKET,
        SO_RCVBUF,
        new Int32Array([receiveBufferBytes]),
        4,
      );
    }
    const address = Buffer.alloc(16);
    address.writeUInt16LE(AF_INET, 0);
    address.writeUInt16BE(port, 2);
    address.set([127, 0, 0, 1], 4);
    call("int connect(int fd, const uint8_t *address, unsigned int length)", this.#fd, address, 16);
  }

  /** Whether the kernel still holds the connection open in both directions. */
  get isOpen(): boolean {
    return tcpInfo(this.#fd)?.state === "ESTAB";
  }

  /** Whether something has come that was not read. */
  get hasUnread(): boolean {
    return this.unreadBytes > 0;
  }

  /** How many bytes have come that were not read. */
  get unreadBytes(): number {
    const bytes = new Int32Array(1);
    call("int ioctl(int fd, unsigned long request, _Out_ int *value)", this.#fd, FIONREAD, bytes);
    return bytes[0] ?? 0;
  }

  /** Sends all of `bytes`, which must fit into the buffer. */
  send(bytes: Uint8Array | string): void {
    const buffer = Buffer.from(bytes as string);
    const signature = "long send(int fd, const uint8_t *bytes, unsigned long length, int flags)";
    call(signature, this.#fd, buffer, buffer.length, MSG_NOSIGNAL);
  }

  /** Reads what is there, at most `mostBytes`. */
  read(mostBytes: number): Buffer {
    const buffer = Buffer.alloc(mostBytes);
    const recv = libcFunction(
      "long recv(int fd, _Out_ uint8_t *bytes, unsigned long length, int flags)",
    );
    const size = Number(recv(this.#fd, buffer, mostBytes, MSG_DONTWAIT));
    if (size === 0 || (size < 0 && !this.isOpen)) this.hasEnded = true;
    this.receivedBytes += Math.max(size, 0);
    return buffer.subarray(0, Math.max(size, 0));
  }

  /** Reads on and on, at most `bytesPerS`, until `stop` or the end. */
  start(bytesPerS: number): void {
    const start = performance.now();
    const before = this.receivedBytes;
    this.#reading = setInterval(() => {
      // By the clock: a busy machine has its ticks late.
      const due = ((performance.now() - start) * bytesPerS) / 1_000;
      const missing = Math.floor(before + due - this.receivedBytes);
      if (missing > 0) this.read(Math.min(missing, bytesPerS));
      if (this.hasEnded) this.stop();
    }, 1_000 / TICKS_PER_S);
  }

  /** Reads nothing more by itself. */
  stop(): void {
    clearInterval(this.#reading);
  }

  [Symbol.dispose](): void {
    this.stop();
    call("int close(int fd)", this.#fd);
  }
}

function call(signature: string, ...args: unknown[]): number {
  const result = Number(libcFunction(signature)(...args));
  if (result < 0) throw new Error(`${signature} failed`);
  return result;
}
