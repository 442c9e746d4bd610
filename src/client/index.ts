/** The door to guests for programs on their host. */
export { GuestError, type GuestErrorKind, Interrupted, type Offsets } from "./errors.ts";
export { Guest, type GuestOptions } from "./guest.ts";
export type { GuestProcess } from "./guest-process.ts";
export type {
  ConnectOptions,
  FollowProcessOptions,
  GuestProcesses,
  ProcessSummary,
  StartOptions,
} from "./process.ts";
export type { End, Holder, ResourceUsage } from "./process-end.ts";
export type { OutputName, ProcessOutput } from "./process-follow.ts";
export { type SnapshotResult, withSnapshot } from "./with-snapshot.ts";
