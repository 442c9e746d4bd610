/**
 * The same bytes in pieces of `bytes` bytes, but for the last. Each is valid until the next is asked
 * for: there is one buffer.
 */
export async function* inPieces(
  source: AsyncIterable<Uint8Array>,
  bytes: number,
): AsyncIterable<Uint8Array<ArrayBuffer>> {
  const buffer = new Uint8Array(bytes);
  let filled = 0;
  for await (const chunk of source) {
    for (let rest = chunk; rest.length > 0; ) {
      const part = rest.subarray(0, bytes - filled);
      buffer.set(part, filled);
      filled += part.length;
      rest = rest.subarray(part.length);
      if (filled < bytes) continue;
      yield buffer;
      filled = 0;
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}
