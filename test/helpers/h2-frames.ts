/** What every client of HTTP/2 sends first. */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** The types of frames. */
export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const;

/** The flags of frames. */
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4 } as const;

/** A frame as it goes over the wire. */
export function h2Frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = new Uint8Array(),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** SETTINGS with these identifiers and values. */
export function settings(values: readonly (readonly [id: number, value: number])[] = []): Buffer {
  const payload = Buffer.alloc(6 * values.length);
  values.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, 6 * index);
    payload.writeUInt32BE(value, 6 * index + 2);
  });
  return h2Frame(TYPE.settings, 0, 0, payload);
}

/** WINDOW_UPDATE by `bytes`. */
export function windowUpdate(streamId: number, bytes: number): Buffer {
  return h2Frame(TYPE.window, 0, streamId, uint32(bytes));
}

/** A number of 32 bits. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A block of header fields, none of which is compressed or remembered. */
export function headerBlock(fields: Readonly<Record<string, string | number>>): Buffer {
  const parts = Object.entries(fields).flatMap(([name, value]) => [
    Buffer.of(0),
    hpackString(name),
    hpackString(String(value)),
  ]);
  return Buffer.concat(parts);
}

/** A whole request: HEADERS, and the body in one DATA frame if there is one. */
export function h2Request(
  streamId: number,
  fields: Readonly<Record<string, string | number>>,
  body?: Uint8Array,
): Buffer {
  const all = { ":method": "GET", ":scheme": "http", ":authority": "x", ...fields };
  const flags = FLAG.endHeaders | (body === undefined ? FLAG.endStream : 0);
  const head = h2Frame(TYPE.headers, flags, streamId, headerBlock(all));
  if (body === undefined) return head;
  return Buffer.concat([head, h2Frame(TYPE.data, FLAG.endStream, streamId, body)]);
}

/** The frames in what has come; the rest of one that has not come whole is left out. */
export function framesIn(bytes: Buffer): { type: number; flags: number; payload: Buffer }[] {
  const frames: { type: number; flags: number; payload: Buffer }[] = [];
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (end > bytes.length) break;
    const payload = bytes.subarray(at + 9, end);
    frames.push({ type: bytes[at + 3] ?? 0, flags: bytes[at + 4] ?? 0, payload });
    at = end;
  }
  return frames;
}

/** A string in HPACK: its length in a prefix of 7 bits, then its bytes. */
function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  const head: number[] = [];
  let rest = bytes.length;
  if (rest < 127) head.push(rest);
  else {
    head.push(127);
    for (rest -= 127; rest >= 128; rest = Math.floor(rest / 128)) head.push((rest % 128) | 128);
    head.push(rest);
  }
  return Buffer.concat([Buffer.from(head), bytes]);
}
