/**
 * `node bench/silence.ts [SECONDS]`: for how long a peer that reads 1 KiB/s looks as if it had
 * stopped, by its receive buffer. What the agent's stall times are chosen by.
 */
import { createServer, type Socket } from "node:net";
import { libcFunction } from "../src/system/libc.ts";
import { descriptorOf } from "../src/system/tcp.ts";
import { NarrowSocket } from "../test/helpers/narrow-socket.ts";

const RATE = 1_024;
const LOOK_MS = 100;
const SIOCOUTQ = 0x5411;
const TCP_INFO_BYTES = 240;
const SECONDS = Number(process.argv[2] ?? 900);
const KIB = 1_024;

interface Reader {
  name: string;
  bufferBytes: number | undefined;
  /** Read as fast as it can first, so that the kernel lets the buffer grow. */
  fastBytes: number;
}

const READERS: Reader[] = [
  ...[4, 8, 16, 32, 64, 128, 256, 1024].map((kib) => ({
    name: `SO_RCVBUF ${kib} KiB`,
    bufferBytes: kib * KIB,
    fastBytes: 0,
  })),
  { name: "default", bufferBytes: undefined, fastBytes: 0 },
  {
    name: "default, after 200 MiB at full rate",
    bufferBytes: undefined,
    fastBytes: 200 * KIB * KIB,
  },
];

/** What the kernel says of one connection. */
function look(socket: Socket): { taken: number; window: number; mss: number } {
  const fd = descriptorOf(socket);
  if (fd === undefined) return { taken: 0, window: 0, mss: 0 };
  const handle = (
    socket as unknown as { _handle: { bytesWritten: number; writeQueueSize: number } }
  )._handle;
  const queued = new Int32Array(1);
  libcFunction("int ioctl(int fd, unsigned long request, _Out_ int *value)")(fd, SIOCOUTQ, queued);
  const info = Buffer.alloc(TCP_INFO_BYTES);
  const length = new Uint32Array([TCP_INFO_BYTES]);
  libcFunction(
    "int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ unsigned int *length)",
  )(fd, 6, 11, info, length);
  return {
    taken: handle.bytesWritten - handle.writeQueueSize - (queued[0] ?? 0),
    window: info.readUInt32LE(228),
    mss: info.readUInt32LE(16),
  };
}

async function measure(reader: Reader): Promise<string> {
  let accepted: Socket | undefined;
  const chunk = Buffer.alloc(256 * KIB);
  const server = createServer((socket) => {
    accepted = socket;
    const more = () => {
      while (socket.write(chunk));
    };
    socket.on("drain", more).on("error", () => {});
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  using client = new NarrowSocket(port, reader.bufferBytes);
  while (client.receivedBytes < reader.fastBytes) {
    client.read(KIB * KIB);
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.start(RATE);
  let last = -1;
  let since = performance.now();
  let longest = 0;
  let peak = 0;
  let mss = 0;
  const end = performance.now() + SECONDS * 1000;
  while (performance.now() < end) {
    if (accepted !== undefined) {
      const seen = look(accepted);
      peak = Math.max(peak, seen.window);
      mss = seen.mss;
      const now = performance.now();
      longest = Math.max(longest, now - since);
      if (seen.taken !== last) since = now;
      last = seen.taken;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  accepted?.destroy();
  server.close();
  const seconds = (longest / 1000).toFixed(1);
  return `| ${reader.name} | ${(peak / KIB).toFixed(1)} KiB | ${seconds} s | mss ${mss} |`;
}

console.log(`1 KiB/s for ${SECONDS} s\n| receive buffer | largest window | longest silence | |`);
await Promise.all(READERS.map(async (reader) => console.log(await measure(reader))));
