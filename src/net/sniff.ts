/** What a connection speaks, by its first bytes. */
export type Protocol = "http1" | "h2" | "tls" | "unknown";

/** What every HTTP/2 client sends first (RFC 9113, 3.4). */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** The first byte of a TLS record that holds a handshake (RFC 8446, 5.1). */
const TLS_HANDSHAKE = 0x16;
const A = 0x41;
const Z = 0x5a;
const CR = 0x0d;
const LF = 0x0a;

/**
 * Tells the protocol from the first bytes of a connection. `undefined` asks for more; more than
 * 24 bytes are never needed. An HTTP/1 request line begins with a method in capitals, or with
 * the empty line that some clients leave behind.
 */
export function sniff(head: Uint8Array): Protocol | undefined {
  const first = head[0];
  if (first === undefined) return undefined;
  if (first === TLS_HANDSHAKE) return "tls";
  const known = Math.min(head.length, PREFACE.length);
  if (PREFACE.subarray(0, known).equals(head.subarray(0, known))) {
    return known === PREFACE.length ? "h2" : undefined;
  }
  return (first >= A && first <= Z) || first === CR || first === LF ? "http1" : "unknown";
}
