/** The door to guests for programs on their host. */
export { GuestError, type GuestErrorKind, Interrupted } from "./errors.ts";
export { Guest, type GuestOptions } from "./guest.ts";
export type { End, GuestProcess, Output, StartOptions } from "./process.ts";
export { type SnapshotResult, withSnapshot } from "./with-snapshot.ts";
