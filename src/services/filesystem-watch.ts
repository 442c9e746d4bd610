import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  EventType,
  type Filesystem,
  type FilesystemEventSchema,
  type WatchDirRequest,
  type WatchDirResponseSchema,
} from "../../gen/filesystem/filesystem_pb.js";
import type { Change } from "../filesystem/describe-changes.ts";
import type { Watchers, WatchRequest } from "../filesystem/watchers.ts";
import { entryWriter } from "./filesystem-entry.ts";
import { keepaliveIntervalMs } from "./keepalive.ts";
import { pathOf } from "./path-of.ts";

/** How many changes a stream takes at once; they are described just before they leave. */
const CHANGES_AT_ONCE = 256;

type WatchMethods = Pick<
  ServiceImpl<typeof Filesystem>,
  "watchDir" | "createWatcher" | "getWatcherEvents" | "removeWatcher"
>;

/** The part of filesystem.Filesystem that watches. */
export function watchMethods(watchers: Watchers): WatchMethods {
  return {
    async *watchDir(request, context) {
      const isDurable = request.durable || request.watcherId !== "";
      if (isDurable) yield* followDurable(watchers, request, context);
      else yield* follow(watchers, toWatchRequest(request, context), context);
    },
    async createWatcher(request, context) {
      const watch = toWatchRequest(request, context);
      const watcherId = request.durable
        ? await watchers.createDurable(watch, false, context.signal)
        : await watchers.create(watch, context.signal);
      return { watcherId };
    },
    async getWatcherEvents({ watcherId, afterSequence }, context) {
      const page = await watchers.page(watcherId, Number(afterSequence), context.signal);
      if (page === undefined) {
        const changes = await watchers.collect(watcherId, context.signal);
        return { events: changes.map((change) => toEvent(change, context)) };
      }
      const { changes, after, isLost } = page;
      const events = changes.map((change, index) => ({
        ...toEvent(change, context),
        sequence: BigInt(after + index + 1),
      }));
      return { events, sequence: BigInt(after + changes.length), resync: isLost };
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
  context: HandlerContext,
): AsyncIterable<WatchMessage> {
  const { signal, requestHeader } = context;
  const keepaliveMs = keepaliveIntervalMs(requestHeader);
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

/** The same, from where the caller was before. What it has missed for good is told. */
async function* followDurable(
  watchers: Watchers,
  request: WatchDirRequest,
  context: HandlerContext,
): AsyncIterable<WatchMessage> {
  const { signal, requestHeader } = context;
  const keepaliveMs = keepaliveIntervalMs(requestHeader);
  const isNew = request.watcherId === "";
  const watcherId = isNew
    ? await watchers.createDurable(toWatchRequest(request, context), true, signal)
    : request.watcherId;
  const reading = watchers.readDurable(watcherId);
  const leave = () => reading[Symbol.dispose]();
  signal.addEventListener("abort", leave);
  try {
    const { watcher } = reading;
    let last = isNew ? 0 : Number(request.afterSequence);
    let page = await watcher.read(last, CHANGES_AT_ONCE, signal);
    yield { event: { case: "start", value: { watcherId, sequence: BigInt(last) } } };
    for (;;) {
      if (page.isLost) {
        yield { event: { case: "resync", value: { sequence: BigInt(page.after) } } };
      }
      last = page.after;
      for (const change of page.changes) {
        last += 1;
        const value = { ...toEvent(change, context), sequence: BigInt(last) };
        yield { event: { case: "filesystem", value } };
      }
      while (!(await watcher.ready(last, keepaliveMs, signal))) {
        yield { event: { case: "keepalive", value: {} } };
      }
      page = await watcher.read(last, CHANGES_AT_ONCE, signal);
    }
  } finally {
    signal.removeEventListener("abort", leave);
    leave();
  }
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
