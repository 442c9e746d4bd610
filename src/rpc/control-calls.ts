import type { IncomingMessage } from "node:http";
import { Process } from "../../gen/process/process_pb.js";
import { Snapshot } from "../../gen/snapshot/snapshot_pb.js";

/** The paths by which a host looks after a guest, whatever else goes on there. */
const PATHS: ReadonlySet<string> = new Set([
  "/health",
  "/init",
  "/snapshot/prepare",
  ...Snapshot.methods.map(({ name }) => `/${Snapshot.typeName}/${name}`),
  `/${Process.typeName}/${Process.method.sendSignal.name}`,
]);

/** Whether `request` must get through also when all connections are taken. */
export function isControlCall({ url = "" }: IncomingMessage): boolean {
  return PATHS.has(url.split("?", 1)[0] ?? "");
}
