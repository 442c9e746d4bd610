import { connect, type Socket } from "node:net";
import { type Call, type Target, tokenOf } from "./wire.ts";

const landing = Buffer.allocUnsafeSlow(256 * 1024);
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const FRAME_HEAD_BYTES = 9;
const TAIL_BYTES = 256;
const KEPT_BYTES = 1024;
/** The largest window there is, so that credit is hardly ever given. */
const WINDOW_BYTES = 0x7fffffff;

const TYPE = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, credit: 8 } as const;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;

/** What is known of a response that was read and thrown away. */
export interface StreamResult {
  /** Bytes of the body. */
  bytes: number;
  head: Buffer;
  tail: Buffer;
}

interface Stream extends StreamResult {
  /** What has come since the window was opened. */
  creditBytes: number;
  onBytes(): void;
  resolve(result: StreamResult): void;
  reject(reason: Error): void;
}

/**
 * A client that costs next to nothing: HTTP/2 with prior knowledge on a bare socket with the
 * largest windows. It looks at the heads of frames, counts the bodies and throws them away.
 */
export class Http2Connection implements Disposable {
  readonly #target: Target;
  readonly #socket: Socket;
  readonly #streams = new Map<number, Stream>();
  readonly #head = Buffer.alloc(FRAME_HEAD_BYTES);
  #headSize = 0;
  #payloadLeft = 0;
  /** The payload of a control frame, which is answered when it is complete. */
  #control: Buffer[] = [];
  #creditBytes = 0;
  #nextId = 1;

  private constructor(target: Target) {
    this.#target = target;
    const callback = (size: number) => {
      this.#take(landing.subarray(0, size));
      return true;
    };
    const { host, port } = target;
    this.#socket = connect({ host, port, noDelay: true, onread: { buffer: landing, callback } });
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.once("close", () => this.#fail(new Error("the connection closed")));
  }

  /** Connects to `target` and opens all windows. */
  static open(target: Target): Promise<Http2Connection> {
    return new Promise((resolve, reject) => {
      const connection = new Http2Connection(target);
      connection.#socket.once("error", reject);
      connection.#socket.once("connect", () => {
        connection.#greet();
        resolve(connection);
      });
    });
  }

  /** Sends `call` and reads its whole response. */
  exchange(call: Call): Promise<StreamResult> {
    return new Promise((resolve, reject) => {
      this.#send(call, { resolve, reject, onBytes: () => {} });
    });
  }

  /** Sends `call` and returns its first `bytes` bytes as soon as they are there. */
  begin(call: Call, bytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const stream: Stream = this.#send(call, {
        resolve: () => {},
        reject,
        onBytes: () => {
          if (stream.head.length >= bytes) resolve(stream.head);
        },
      });
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #greet(): void {
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(4, 0);
    settings.writeUInt32BE(WINDOW_BYTES, 2);
    const credit = Buffer.alloc(4);
    credit.writeUInt32BE(WINDOW_BYTES - 65_535, 0);
    const greeting = [frame(TYPE.settings, 0, 0, settings), frame(TYPE.credit, 0, 0, credit)];
    this.#socket.write(Buffer.concat([PREFACE, ...greeting]));
  }

  #send(call: Call, ends: Pick<Stream, "resolve" | "reject" | "onBytes">): Stream {
    const id = this.#nextId;
    this.#nextId += 2;
    const stream: Stream = {
      bytes: 0,
      creditBytes: 0,
      head: Buffer.alloc(0),
      tail: Buffer.alloc(0),
      ...ends,
    };
    this.#streams.set(id, stream);
    const block = headerBlock(this.#target, call);
    const hasBody = call.body.length > 0;
    const frames = [frame(TYPE.headers, END_HEADERS | (hasBody ? 0 : END_STREAM), id, block)];
    if (hasBody) frames.push(frame(TYPE.data, END_STREAM, id, call.body));
    this.#socket.write(Buffer.concat(frames));
    return stream;
  }

  #take(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#headSize < FRAME_HEAD_BYTES) {
        const size = Math.min(FRAME_HEAD_BYTES - this.#headSize, bytes.length - at);
        bytes.copy(this.#head, this.#headSize, at, at + size);
        this.#headSize += size;
        at += size;
        if (this.#headSize < FRAME_HEAD_BYTES) return;
        this.#payloadLeft = this.#head.readUIntBE(0, 3);
      }
      const size = Math.min(this.#payloadLeft, bytes.length - at);
      if (size > 0) this.#takePayload(bytes.subarray(at, at + size));
      at += size;
      this.#payloadLeft -= size;
      if (this.#payloadLeft === 0) {
        this.#headSize = 0;
        this.#endFrame(this.#head[3] as number, this.#head[4] as number);
      }
    }
  }

  #takePayload(bytes: Buffer): void {
    if (this.#head[3] !== TYPE.data) {
      this.#control.push(Buffer.from(bytes));
      return;
    }
    const stream = this.#streams.get(this.#streamId);
    if (stream === undefined) return;
    stream.bytes += bytes.length;
    stream.creditBytes += bytes.length;
    this.#creditBytes += bytes.length;
    if (this.#creditBytes > WINDOW_BYTES / 2)
      this.#creditBytes = this.#credit(0, this.#creditBytes);
    if (stream.creditBytes > WINDOW_BYTES / 2) {
      stream.creditBytes = this.#credit(this.#streamId, stream.creditBytes);
    }
    if (stream.head.length < KEPT_BYTES) {
      stream.head = Buffer.concat([stream.head, bytes.subarray(0, KEPT_BYTES)]);
    }
    const end = bytes.subarray(-TAIL_BYTES);
    stream.tail =
      end.length === TAIL_BYTES
        ? Buffer.from(end)
        : Buffer.concat([stream.tail, end]).subarray(-TAIL_BYTES);
    stream.onBytes();
  }

  /** Opens a window again by what has come. Returns what has come since: nothing. */
  #credit(streamId: number, bytes: number): 0 {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(bytes, 0);
    this.#socket.write(frame(TYPE.credit, 0, streamId, payload));
    return 0;
  }

  get #streamId(): number {
    return this.#head.readUInt32BE(5) & 0x7fffffff;
  }

  #endFrame(type: number, flags: number): void {
    const payload = Buffer.concat(this.#control.splice(0));
    const isAck = (flags & ACK) !== 0;
    if (type === TYPE.settings && !isAck) {
      this.#socket.write(frame(TYPE.settings, ACK, 0, Buffer.alloc(0)));
    } else if (type === TYPE.ping && !isAck) this.#socket.write(frame(TYPE.ping, ACK, 0, payload));
    else if (type === TYPE.goaway)
      this.#fail(new Error(`the peer went away: ${payload.toString("latin1", 8)}`));
    else if (type === TYPE.reset) {
      this.#end(this.#streamId)?.reject(new Error(`the peer reset the stream: ${payload[3]}`));
    } else if ((type === TYPE.data || type === TYPE.headers) && (flags & END_STREAM) !== 0) {
      const stream = this.#end(this.#streamId);
      stream?.resolve(stream);
    }
  }

  #end(id: number): Stream | undefined {
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    return stream;
  }

  #fail(error: Error): void {
    for (const id of this.#streams.keys()) this.#end(id)?.reject(error);
  }
}

function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(FRAME_HEAD_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  bytes.set(payload, FRAME_HEAD_BYTES);
  return bytes;
}

function headerBlock(target: Target, call: Call): Buffer {
  const fields = {
    ":method": call.method,
    ":scheme": "http",
    ":authority": `${target.host}:${target.port}`,
    ":path": call.path,
    ...tokenOf(target),
    ...call.headers,
  };
  return Buffer.concat(Object.entries(fields).map(([name, value]) => literal(name, value)));
}

/** A header without indexing and without Huffman coding. */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0), hpackText(name), hpackText(value)]);
}

function hpackText(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  let rest = bytes.length - 127;
  const size = [127];
  for (; rest >= 0x80; rest >>>= 7) size.push((rest & 0x7f) | 0x80);
  size.push(rest);
  return Buffer.concat([Buffer.from(size), bytes]);
}
