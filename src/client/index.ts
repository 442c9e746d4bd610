/** The door to guests for programs on their host. */
export type { Copied } from "./copy/copy.ts";
export type { CopyOptions } from "./copy/copying.ts";
export type { Plan as CopyPlan } from "./copy/plan.ts";
export type { DirectoryChange, DirectoryWatch, WatchOptions } from "./directory-watch.ts";
export type { Downloaded, DownloadOptions } from "./download.ts";
export { GuestError, type GuestErrorKind, Interrupted, type Offsets } from "./errors.ts";
export type { GuestFiles } from "./files.ts";
export { Guest, type GuestOptions } from "./guest.ts";
export type { GuestProcess } from "./guest-process.ts";
export type { GuestPorts, Listener } from "./ports.ts";
export type {
  ConnectOptions,
  FollowProcessOptions,
  GuestProcesses,
  ProcessSummary,
  StartOptions,
} from "./process.ts";
export type { End, Holder, ResourceUsage } from "./process-end.ts";
export type { OutputName, ProcessOutput } from "./process-follow.ts";
export type { TreePath } from "./trees.ts";
export type { Uploaded, UploadOptions } from "./upload.ts";
export type { UploadContent } from "./upload-sources.ts";
export { type SnapshotResult, withSnapshot } from "./with-snapshot.ts";
