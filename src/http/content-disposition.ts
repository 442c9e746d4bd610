/** What a token of HTTP may consist of, in MIME's reading. */
const TOKEN = /^[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+$/;

/**
 * The `Content-Disposition` under which a file called `name` is served: bare where that is
 * possible, quoted where it must be, and percent-encoded where it is more than printable ASCII.
 */
export function contentDisposition(name: string): string {
  if (TOKEN.test(name)) return `inline; filename=${name}`;
  if (/^[\t -~]*$/.test(name)) return `inline; filename="${name.replace(/["\\]/g, "\\$&")}"`;
  return `inline; filename*=utf-8''${percentEncode(name)}`;
}

function percentEncode(name: string): string {
  let text = "";
  for (const byte of Buffer.from(name)) {
    const character = String.fromCharCode(byte);
    text += /[!#$&+\-.0-9A-Z^_`a-z{|}~]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}
