import type { Socket } from "node:net";
import { libcFunction } from "./libc.ts";
import { TCP_STATES, type TcpState } from "./tcp-table.ts";

/** From linux/tcp.h and asm-generic/socket.h. */
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_KEEPALIVE = 9;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_INFO = 11;
const TCP_REPAIR = 19;
const TCP_NOTSENT_LOWAT = 25;
/** From asm-generic/ioctls.h. */
const FIONREAD = 0x541b;
const SIOCOUTQ = 0x5411;
/** `struct tcp_info` grows with every kernel, and an older one fills less of it. */
const INFO_BYTES = 232;
const AT_STATE = 0;
const AT_PROBES = 3;
const AT_UNACKED = 24;
const AT_LAST_DATA_SENT = 44;
const AT_LAST_DATA_RECEIVED = 52;
const AT_LAST_ACK_RECEIVED = 56;
/** Both since Linux 4.1. */
const AT_BYTES_ACKNOWLEDGED = 120;
const AT_BYTES_RECEIVED = 128;
/** Since Linux 5.4. */
const AT_SEND_WINDOW = 228;

const SETSOCKOPT =
  "int setsockopt(int fd, int level, int name, const int *value, unsigned int length)";
const GETSOCKOPT =
  "int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ unsigned int *length)";

/** What the kernel knows of a TCP connection's peer. */
export interface TcpInfo {
  state: TcpState | undefined;
  /** Segments that were sent and not acknowledged. */
  unacked: number;
  /** Probes, of keep-alive or of a closed window, that were sent and not answered. */
  unansweredProbes: number;
  /** How long ago the last data was sent, in ms. */
  lastDataSentMs: number;
  /** How long ago the last data came, in ms. */
  lastDataReceivedMs: number;
  /** How long ago the last acknowledgement came, in ms. */
  lastAckReceivedMs: number;
  /** Bytes that were sent and acknowledged. */
  acknowledgedBytes: number;
  /** Bytes that have come, in order. */
  receivedBytes: number;
  /** How much the peer has said that it takes, in bytes. */
  sendWindowBytes: number;
}

/** A `struct sockaddr` of the family AF_UNSPEC, which stands for no peer. */
const NO_ADDRESS = Buffer.alloc(16);

const info = Buffer.alloc(INFO_BYTES);
const infoLength = new Uint32Array(1);

/** The descriptor of a socket; `undefined` when it is closed. Node offers it on its handle only. */
export function descriptorOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as Socket & { _handle?: { fd?: number } | null };
  return handle?.fd === undefined || handle.fd < 0 ? undefined : handle.fd;
}

/** What the kernel knows of the peer of `fd`; `undefined` where that is no TCP socket. */
export function tcpInfo(fd: number): TcpInfo | undefined {
  infoLength[0] = INFO_BYTES;
  if (Number(libcFunction(GETSOCKOPT)(fd, IPPROTO_TCP, TCP_INFO, info, infoLength)) < 0) {
    return undefined;
  }
  info.fill(0, infoLength[0]);
  return {
    state: TCP_STATES[info.readUInt8(AT_STATE)],
    unacked: info.readUInt32LE(AT_UNACKED),
    unansweredProbes: info.readUInt8(AT_PROBES),
    lastDataSentMs: info.readUInt32LE(AT_LAST_DATA_SENT),
    lastDataReceivedMs: info.readUInt32LE(AT_LAST_DATA_RECEIVED),
    lastAckReceivedMs: info.readUInt32LE(AT_LAST_ACK_RECEIVED),
    acknowledgedBytes: Number(info.readBigUInt64LE(AT_BYTES_ACKNOWLEDGED)),
    receivedBytes: Number(info.readBigUInt64LE(AT_BYTES_RECEIVED)),
    sendWindowBytes: info.readUInt32LE(AT_SEND_WINDOW),
  };
}

/**
 * Makes the kernel ask the peer of `fd` at once whether it is there: leaving the repair mode sends
 * a window probe, which carries no data, and which every peer that is in step answers. Returns
 * `false` where the agent may not (CAP_NET_ADMIN).
 */
export function probePeer(fd: number): boolean {
  if (!setOption(fd, IPPROTO_TCP, TCP_REPAIR, 1)) return false;
  const isAsked = setOption(fd, IPPROTO_TCP, TCP_REPAIR, 0);
  // Leaving the mode takes this away, and no agent could listen again beside such a socket.
  setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  return isAsked;
}

const IOCTL = "int ioctl(int fd, unsigned long request, _Out_ int *value)";

/** Whether bytes have come to `fd` that nobody has read. */
export function hasUnread(fd: number): boolean {
  return Number(libcFunction(IOCTL)(fd, FIONREAD, option)) >= 0 && (option[0] ?? 0) > 0;
}

/** How many bytes were sent to `fd` that its peer has not acknowledged. */
export function unacknowledgedBytes(fd: number): number {
  return Number(libcFunction(IOCTL)(fd, SIOCOUTQ, option)) < 0 ? 0 : (option[0] ?? 0);
}

/** Has the kernel ask a silent peer whether it is there, and close the connection if it is not. */
export function setKeepAlive(
  fd: number,
  { idleS, intervalS, probes }: { idleS: number; intervalS: number; probes: number },
): void {
  setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  setOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, idleS);
  setOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, intervalS);
  setOption(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
}

/**
 * Has the kernel take no more for `fd` while so many bytes wait there for the peer's window. Without
 * a bound it takes up to 4 MiB for each peer that has stopped, of memory that all connections share.
 */
export function limitUnsent(fd: number, bytes: number): void {
  setOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
}

/**
 * Has closing `fd` send a RST and forget what was not sent: a FIN towards a host that is gone is
 * sent again and again for 107 s.
 */
export function resetOnClose(fd: number): void {
  const lingerForNoTime = new Int32Array([1, 0]);
  libcFunction(SETSOCKOPT)(fd, SOL_SOCKET, SO_LINGER, lingerForNoTime, lingerForNoTime.byteLength);
}

/**
 * Ends the connection of `fd` at once by RST and leaves the descriptor open, so that its owner can
 * close it in its own time. Returns whether it did.
 */
export function disconnect(fd: number): boolean {
  const connect = libcFunction("int connect(int fd, const uint8_t *address, unsigned int length)");
  return Number(connect(fd, NO_ADDRESS, NO_ADDRESS.length)) === 0;
}

const option = new Int32Array(1);

function setOption(fd: number, level: number, name: number, value: number): boolean {
  option[0] = value;
  const length = option.byteLength;
  return Number(libcFunction(SETSOCKOPT)(fd, level, name, option, length)) >= 0;
}
