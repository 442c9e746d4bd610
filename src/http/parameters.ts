/** A header value with parameters, as in `multipart/form-data; boundary=x`. */
export interface ParameterizedValue {
  /** What stands before the first semicolon, in lower case. */
  value: string;
  /** By lower-case name. */
  parameters: Map<string, string>;
}

/** One parameter: a name, and a quoted string or everything up to the next semicolon. */
const PARAMETER = /;\s*([^\s=;]+)\s*=\s*(?:"((?:\\[^]|[^"\\])*)"|([^;]*))/g;

/**
 * Reads a header value whose characters are its bytes (as Node and the multipart parser give
 * them). Text is UTF-8; the extended forms `name*=utf-8''%41` and `name*0=a; name*1=b` are
 * understood and win over the plain one.
 */
export function parseParameters(header: string): ParameterizedValue {
  const parameters = new Map<string, string>();
  const pieces = new Map<string, Map<number, string>>();
  for (const [, name = "", quoted, bare] of header.matchAll(PARAMETER)) {
    const raw = quoted === undefined ? (bare ?? "").trim() : unescape(quoted);
    const [, plain = "", index, extended] = /^([^*]+)(?:\*(\d+))?(\*)?$/.exec(name) ?? [];
    const key = (plain === "" ? name : plain).toLowerCase();
    if (index === undefined && extended === undefined) {
      if (!parameters.has(key)) parameters.set(key, utf8(raw));
      continue;
    }
    const position = Number(index ?? 0);
    const known = pieces.get(key) ?? new Map<number, string>();
    pieces.set(key, known);
    known.set(position, extended === undefined ? raw : decodeExtended(raw, position === 0));
  }
  for (const [key, known] of pieces) parameters.set(key, utf8(joined(known)));
  return { value: (header.split(";")[0] ?? "").trim().toLowerCase(), parameters };
}

/** A backslash only stands for itself before a letter: some clients send Windows paths. */
function unescape(quoted: string): string {
  return quoted.replace(/\\([()<>@,;:\\"/[\]?=])/g, "$1");
}

/** The bytes of `utf-8'en'%41`, of which the first piece carries charset and language. */
function decodeExtended(text: string, hasCharset: boolean): string {
  const encoded = hasCharset ? (/^[^']*'[^']*'([^]*)$/.exec(text)?.[1] ?? text) : text;
  return encoded.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function joined(pieces: Map<number, string>): string {
  let text = "";
  for (let index = 0; pieces.has(index); index += 1) text += pieces.get(index) ?? "";
  return text;
}

function utf8(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}
