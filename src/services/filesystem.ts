import type { ServiceImpl } from "@connectrpc/connect";
import type { Filesystem } from "../../gen/filesystem/filesystem_pb.js";
import { listDirectory } from "../filesystem/list-directory.ts";
import { makeDirectory } from "../filesystem/make-directory.ts";
import { move } from "../filesystem/move.ts";
import { remove } from "../filesystem/remove.ts";
import { statEntry } from "../filesystem/stat.ts";
import type { Uploads } from "../filesystem/uploads.ts";
import type { Watchers } from "../filesystem/watchers.ts";
import type { Users } from "../system/users.ts";
import { callerKey } from "./caller-key.ts";
import { entryWriter } from "./filesystem-entry.ts";
import { readMethods } from "./filesystem-read.ts";
import { treeMethods } from "./filesystem-tree.ts";
import { uploadMethods } from "./filesystem-upload.ts";
import { watchMethods } from "./filesystem-watch.ts";
import { pathOf } from "./path-of.ts";

/** What the filesystem service speaks for. */
export interface FilesystemParts {
  users: Users;
  watchers: Watchers;
  uploads: Uploads;
}

/** Speaks filesystem.Filesystem; decides nothing. */
export function filesystemService({
  users,
  watchers,
  uploads,
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
    ...watchMethods(watchers),
    ...uploadMethods(uploads),
    ...readMethods(users),
    ...treeMethods(uploads),
  };
}
