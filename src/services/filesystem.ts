import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  EventType,
  type Filesystem,
  type FilesystemEventSchema,
  type WatchDirResponseSchema,
} from "../../gen/filesystem/filesystem_pb.js";
import { listDirectory } from "../filesystem/list-directory.ts";
import { makeDirectory } from "../filesystem/make-directory.ts";
import { move } from "../filesystem/move.ts";
import { resolvePath } from "../filesystem/paths.ts";
import { remove } from "../filesystem/remove.ts";
import { statEntry } from "../filesystem/stat.ts";
import type { Change } from "../filesystem/watcher.ts";
import type { Watchers, WatchRequest } from "../filesystem/watchers.ts";
import type { Users } from "../system/users.ts";
import { callerKey } from "./caller-key.ts";
import { entryWriter } from "./filesystem-entry.ts";
import { keepaliveIntervalMs } from "./keepalive.ts";

/** How many changes a stream takes at once; they are described just before they leave. */
const CHANGES_AT_ONCE = 256;

/** What the filesystem service speaks for. */
export interface FilesystemParts {
  users: Users;
  watchers: Watchers;
}

/** Speaks filesystem.Filesystem; decides nothing. */
export function filesystemService({
  users,
  watchers,
}: FilesystemParts): ServiceImpl<typeof Filesystem> {
  return {
    async stat(request, context) {
      const entry = await statEntry(pathOf(request.path, context), users);
      return { entry: entryWriter(context).write(entry) };
    },
    async makeDir(request, context) {
      const path = pathOf(request.path, context);
      await makeDirectory(path, context.values.get(callerKey).user());
      return { entry: entryWriter(context).write(await statEntry(path, users)) };
    },
    async move(request, context) {
      const user = context.values.get(callerKey).user();
      const source = pathOf(request.source, context);
      const destination = pathOf(request.destination, context);
      await move({ source, destination, user });
      return { entry: entryWriter(context).write(await statEntry(destination, users)) };
    },
    async listDir(request, context) {
      const path = pathOf(request.path, context);
      const entries = await listDirectory({ path, depth: request.depth }, users, context.signal);
      return { entries: await entryWriter(context).writeAll(entries) };
    },
    async remove(request, context) {
      await remove(pathOf(request.path, context), context.signal);
      return {};
    },
    async *watchDir(request, context) {
      const keepaliveMs = keepaliveIntervalMs(context.requestHeader);
      const watch = toWatchRequest(request, context);
      yield* follow(watchers, watch, keepaliveMs, context);
    },
    async createWatcher(request, context) {
      const watch = toWatchRequest(request, context);
      return { watcherId: await watchers.create(watch, context.signal) };
    },
    async getWatcherEvents({ watcherId }, context) {
      const changes = await watchers.collect(watcherId, context.signal);
      return { events: changes.map((change) => toEvent(change, context)) };
    },
    removeWatcher({ watcherId }) {
      watchers.remove(watcherId);
      return {};
    },
  };
}

type WatchMessage = MessageInitShape<typeof WatchDirResponseSchema>;

/** The changes of a directory until the caller leaves, with keep-alives between. */
async function* follow(
  watchers: Watchers,
  request: WatchRequest,
  keepaliveMs: number,
  context: HandlerContext,
): AsyncIterable<WatchMessage> {
  const { signal } = context;
  const watcher = await watchers.open(request, signal);
  // A generator that waits for a slow client does not get to its end when that client vanishes.
  const leave = () => watchers.close(watcher);
  signal.addEventListener("abort", leave);
  try {
    yield { event: { case: "start", value: {} } };
    for (;;) {
      signal.throwIfAborted();
      const hasNews = await watcher.ready(keepaliveMs, signal);
      if (!hasNews) yield { event: { case: "keepalive", value: {} } };
      for (const change of await watcher.take(signal, CHANGES_AT_ONCE)) {
        yield { event: { case: "filesystem", value: toEvent(change, context) } };
      }
    }
  } finally {
    signal.removeEventListener("abort", leave);
    leave();
  }
}

function pathOf(path: string, context: HandlerContext): string {
  const caller = context.values.get(callerKey);
  return resolvePath(path, caller.user(), caller.workdir);
}

function toWatchRequest(
  request: {
    path: string;
    recursive: boolean;
    includeEntry: boolean;
    allowNetworkMounts: boolean;
  },
  context: HandlerContext,
): WatchRequest {
  return {
    path: pathOf(request.path, context),
    isRecursive: request.recursive,
    includesEntries: request.includeEntry,
    allowsNetworkMounts: request.allowNetworkMounts,
  };
}

const EVENT_TYPES: Record<Change["kind"], EventType> = {
  create: EventType.CREATE,
  write: EventType.WRITE,
  remove: EventType.REMOVE,
  rename: EventType.RENAME,
  chmod: EventType.CHMOD,
};

function toEvent(
  { kind, name, entry }: Change,
  context: HandlerContext,
): MessageInitShape<typeof FilesystemEventSchema> {
  const event = { name, type: EVENT_TYPES[kind] };
  return entry === undefined ? event : { ...event, entry: entryWriter(context).write(entry) };
}
