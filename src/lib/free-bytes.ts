/**
 * Gives back the memory of bytes that nobody looks at any more; they are empty then. The garbage
 * collector would mark all that is alive for every 32 MiB of them. Bytes that share their memory
 * with others are left to it.
 */
export function freeBytes(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength) buffer.transfer(0);
}
