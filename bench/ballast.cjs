/**
 * Preloaded into an agent (`NODE_OPTIONS=--require`) to make it as large as one that has worked
 * for a while: 256 MiB of live objects on the JavaScript heap and 64 MiB of touched buffers.
 */
const HEAP_BYTES = 256 * 1024 * 1024;
const BUFFER_BYTES = 64 * 1024 * 1024;

const objects = [];
const heapBefore = process.memoryUsage().heapUsed;
while (process.memoryUsage().heapUsed - heapBefore < HEAP_BYTES) {
  for (let i = 0; i < 100_000; i += 1) objects.push({ id: i, name: `object ${i}`, values: [i, i] });
}
globalThis.benchmarkBallast = { objects, buffer: Buffer.alloc(BUFFER_BYTES, 1) };
