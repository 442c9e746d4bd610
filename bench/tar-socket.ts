import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/**
 * Carries what is in `source` to `destination` as people did before there was anything better: tar
 * into a bare TCP socket, tar out of it. Nothing is checked.
 */
export async function tarOverSocket(
  source: { directory: string; name: string },
  destination: string,
): Promise<void> {
  mkdirSync(destination, { recursive: true });
  const server = createServer();
  const unpacked = unpack(server, destination);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const script = 'tar cf - -C "$1" "$2" > "/dev/tcp/127.0.0.1/$3"';
  const { directory, name } = source;
  const sender = spawn("bash", ["-c", script, "-", directory, name, String(port)], {
    stdio: "inherit",
  });
  const [code] = (await once(sender, "close")) as [number | null];
  if (code !== 0) throw new Error(`sending tar ended with ${code}`);
  await unpacked;
  server.close();
}

async function unpack(server: Server, destination: string): Promise<void> {
  const [socket] = (await once(server, "connection")) as [Socket];
  const tar = spawn("tar", ["xf", "-", "-C", destination], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  socket.pipe(tar.stdin);
  const [code] = await once(tar, "close");
  if (code !== 0) throw new Error(`unpacking tar ended with ${code}`);
}
