/**
 * A path byte for byte: each character stands for one byte of it. File names are bytes and need
 * not be UTF-8; in this form they can be joined, compared in byte order and used as keys.
 */
export type RawPath = string;

/** The bytes of a path that came as text. */
export function toRawPath(path: string): RawPath {
  return isAscii(path) ? path : Buffer.from(path, "utf8").toString("latin1");
}

/** The text of a path. Bytes that are no UTF-8 become U+FFFD. */
export function fromRawPath(raw: RawPath): string {
  return isAscii(raw) ? raw : Buffer.from(raw, "latin1").toString("utf8");
}

/** The path in the form that Node's calls take without changing a byte. */
export function systemPath(raw: RawPath): string | Buffer {
  return isAscii(raw) ? raw : Buffer.from(raw, "latin1");
}

/** A path below `directory`, not cleaned; below "" it is just `name`. */
export function joinRawPath(directory: RawPath, name: RawPath): RawPath {
  return directory === "" || directory.endsWith("/") ? directory + name : `${directory}/${name}`;
}

function isAscii(text: string): boolean {
  return !/[\u0080-\uffff]/.test(text);
}
