import net from "node:net";

interface Wish {
  id: number;
  host: string;
  port: number;
  timeoutMs: number;
  localAddress?: string;
}

const answer = (id: number, error: string) => {
  if (process.connected) process.send?.({ id, error });
};

process.on("message", ({ id, host, port, timeoutMs, localAddress }: Wish) => {
  const from = localAddress === undefined ? {} : { localAddress };
  const socket = net.connect({ host, port, noDelay: true, ...from });
  const timer = setTimeout(() => {
    socket.destroy();
    answer(id, "ETIMEDOUT");
  }, timeoutMs);
  socket.once("connect", () => {
    clearTimeout(timer);
    socket.pause();
    process.send?.({ id }, socket, { keepOpen: false });
  });
  socket.on("error", (reason: NodeJS.ErrnoException) => {
    clearTimeout(timer);
    answer(id, reason.code ?? reason.message);
  });
});
process.on("disconnect", () => process.exit(0));
