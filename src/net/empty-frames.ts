import type { ServerHttp2Stream } from "node:http2";

/** What has gone over a connection since it was opened, in bytes. */
export interface Traffic {
  /** What has come. */
  receivedBytes: number;
  /** What the peer has taken. */
  acknowledgedBytes: number;
}

/** How many bytes may come for each that is asked with, or taken: nginx's rule. */
const FACTOR = 8;
/** What may come beside that between two looks. */
const SPARE_BYTES = 8 * 1024 * 1024;
/** More than what one request is asked with. */
const REQUEST_BYTES = 4 * 1024;

/**
 * Tells whether a client sends far more than it has to say. Frames that carry nothing, as
 * WINDOW_UPDATE and PRIORITY, are shown to nobody by Node, so all that comes over the connection is
 * held against what they may be for: requests, and what was sent to the client. How much a body
 * brings is not known here, so nothing is said while one comes.
 */
export class EmptyFrames {
  #last: Traffic = { receivedBytes: 0, acknowledgedBytes: 0 };
  #requests = 0;
  #openBodies = 0;
  #hadBody = false;

  /** A request has come. */
  add(stream: ServerHttp2Stream): void {
    this.#requests += 1;
    if (stream.endAfterHeaders) return;
    this.#hadBody = true;
    this.#openBodies += 1;
    let isOpen = true;
    const settle = () => {
      if (isOpen) this.#openBodies -= 1;
      isOpen = false;
    };
    stream.once("end", settle).once("close", settle);
  }

  /** Whether too many have come since the last look. */
  isFlood(traffic: Traffic): boolean {
    const received = traffic.receivedBytes - this.#last.receivedBytes;
    const acknowledged = traffic.acknowledgedBytes - this.#last.acknowledgedBytes;
    const said = acknowledged + this.#requests * REQUEST_BYTES;
    const mayJudge = !this.#hadBody;
    this.#last = traffic;
    this.#requests = 0;
    this.#hadBody = this.#openBodies > 0;
    return mayJudge && received > SPARE_BYTES + FACTOR * said;
  }
}
