import type { PrepareResponse, RestoreResponse } from "../../gen/snapshot/snapshot_pb.js";
import { nextTurn } from "../lib/turns.ts";
import { type GuestError, toGuestError } from "./errors.ts";
import type { Guest } from "./guest.ts";

/** How a snapshot went. */
export interface SnapshotResult<T> {
  /** What `freezeAndThaw` gave. */
  value: T;
  /** What Prepare answered; absent when the agent cannot say or Prepare failed. */
  prepared: PrepareResponse | undefined;
  /** Why Prepare failed; the snapshot is taken all the same, and heals as well. */
  prepareError: GuestError | undefined;
  /** What Restore answered; absent when the agent cannot say. */
  restored: RestoreResponse | undefined;
}

/**
 * Takes `guest` through a snapshot: brings it to rest, calls `freezeAndThaw`, which freezes the
 * machine and has it run again, then waits until the guest answers and gives it the time. When
 * `freezeAndThaw` fails the guest is told that nothing has happened, and its error is thrown.
 */
export async function withSnapshot<T>(
  guest: Guest,
  freezeAndThaw: () => Promise<T>,
  options: { signal?: AbortSignal } = {},
): Promise<SnapshotResult<T>> {
  let prepared: PrepareResponse | undefined;
  let prepareError: GuestError | undefined;
  try {
    prepared = await guest.snapshot.prepare(options.signal);
  } catch (reason) {
    prepareError = toGuestError(reason);
  }
  // The call that prepared has left a connection behind, which is idle from the next turn on.
  await nextTurn();
  guest.closeIdleConnections();
  let value: T;
  try {
    options.signal?.throwIfAborted();
    value = await freezeAndThaw();
  } catch (reason) {
    // The guest also finds out by itself, only later.
    await guest.snapshot.restore({ aborted: true }).catch(() => {});
    throw reason;
  }
  guest.dropConnections();
  await guest.waitUntilReady(options);
  return { value, prepared, prepareError, restored: await guest.snapshot.restore(options) };
}
