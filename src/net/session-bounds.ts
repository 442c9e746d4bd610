import type { ServerHttp2Session } from "node:http2";

/** How long the client of an HTTP/2 session may say nothing. */
export interface SessionBounds {
  /** Until its settings have come, with which every client begins, in ms. */
  prefaceMs: number;
  /** While nothing is being answered, in ms. */
  idleMs: number;
  /** Whether nothing is being answered. */
  isIdle(): boolean;
  /** Called when the settings do not come. */
  onSilence(): void;
}

/** Ends `session` at its bounds. Left to itself, it waits for its client for ever. */
export function boundSession(session: ServerHttp2Session, bounds: SessionBounds): void {
  const preface = setTimeout(() => bounds.onSilence(), bounds.prefaceMs);
  const settle = () => clearTimeout(preface);
  session.once("remoteSettings", settle);
  session.once("close", settle);
  session.on("timeout", () => {
    if (bounds.isIdle()) session.close();
    // Told once only; and a stream may be silent for longer than a session may be idle.
    else session.setTimeout(bounds.idleMs);
  });
  session.setTimeout(bounds.idleMs);
}

/** Asks the client of `session` whether it is there. On a session that is gone it does nothing. */
export function pingSession(session: ServerHttp2Session, onAnswer: () => void): void {
  // It throws there.
  if (session.destroyed) return;
  session.ping((error) => {
    if (error === null) onAnswer();
  });
}
