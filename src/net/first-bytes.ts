import type { Socket } from "node:net";
import { type Protocol, sniff } from "./sniff.ts";

/** Who waits for a connection to show what it speaks. */
export interface FirstBytes {
  /** How long it may take, in ms. */
  timeoutMs: number;
  /** Called once. All that has come can be read from the socket again. */
  onProtocol(protocol: Protocol): void;
  /** Called instead when the time is over. */
  onSilence(): void;
}

/** Waits until `socket` shows what it speaks. One that ends before is closed. */
export function awaitProtocol(
  socket: Socket,
  { timeoutMs, onProtocol, onSilence }: FirstBytes,
): void {
  const timer = setTimeout(onSilence, timeoutMs);
  let head = Buffer.alloc(0);
  const look = () => {
    const more = socket.read() as Buffer | null;
    if (more !== null) head = Buffer.concat([head, more]);
    const protocol = sniff(head);
    if (protocol === undefined) return;
    settle();
    socket.unshift(head);
    onProtocol(protocol);
  };
  const gone = () => {
    settle();
    socket.destroy();
  };
  const settle = () => {
    clearTimeout(timer);
    socket.off("readable", look);
    socket.off("end", gone);
    socket.off("close", settle);
  };
  socket.on("readable", look);
  socket.once("end", gone);
  socket.once("close", settle);
}
