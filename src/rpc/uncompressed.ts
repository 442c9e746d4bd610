import type { IncomingMessage } from "node:http";

/** Calls that send what may be large and is mostly compressed already. */
const BULK = /^\/filesystem\.Filesystem\/(ReadFile|ReadTree)(\?|$)/;

/** Compressing would take twenty times as long as sending. */
export function leaveBulkUncompressed({ url, headers }: IncomingMessage): void {
  if (!BULK.test(url ?? "")) return;
  delete headers["connect-accept-encoding"];
  delete headers["grpc-accept-encoding"];
}
