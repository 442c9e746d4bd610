import { execFileSync } from "node:child_process";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { Filesystem, WriteTreeRequestSchema } from "../../gen/filesystem/filesystem_pb.js";
import { sha256 } from "./uploads.ts";

type Files = Client<typeof Filesystem>;

/** Every path below a directory, with all that a copy has to keep. Paths byte for byte. */
export function inventory(directory: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const links = new Map<bigint, string>();
  const visit = (below: string) => {
    const names = readdirSync(bytes(`${directory}/${below}`), "latin1").toSorted();
    for (const name of names) {
      const at = below === "" ? name : `${below}/${name}`;
      const path = bytes(`${directory}/${at}`);
      const stats = lstatSync(path, { bigint: true });
      const first = links.get(stats.ino);
      if (stats.nlink > 1n && !stats.isDirectory()) links.set(stats.ino, first ?? at);
      found[at] = {
        mode: stats.mode.toString(8),
        owner: `${stats.uid}:${stats.gid}`,
        modifiedNs: stats.mtimeNs,
        ...(stats.isFile() && { content: sha256(readFileSync(path)).toString("hex") }),
        ...(stats.isSymbolicLink() && { link: readlinkSync(path, "latin1") }),
        ...(first !== undefined && { sameAs: first }),
      };
      if (stats.isDirectory()) visit(at);
    }
  };
  visit("");
  return found;
}

/** A path whose bytes are given as characters, one each. */
function bytes(path: string): Buffer {
  return Buffer.from(path, "latin1");
}

/** Runs GNU tar. */
export function gnuTar(args: readonly string[], input?: Uint8Array): Buffer {
  return execFileSync("tar", args, { input, maxBuffer: 2 ** 30, stdio: ["pipe", "pipe", "pipe"] });
}

/** The tar stream of a whole directory, and what was told at its end. */
export async function readTree(client: Files, path: string, include: string[] = []) {
  const chunks: Uint8Array[] = [];
  let end: { sha256: Uint8Array; entries: bigint; skipped: string[] } | undefined;
  for await (const { event } of client.readTree({ path, include })) {
    if (event.case === "chunk") chunks.push(event.value);
    if (event.case === "end") end = event.value;
  }
  return { tar: Buffer.concat(chunks), end };
}

type Message = MessageInitShape<typeof WriteTreeRequestSchema>;

/** The messages that send a tar stream. */
export async function* writeTreeMessages(
  open: { path: string; keepOwners?: boolean },
  tar: Uint8Array,
  { chunkBytes = 64 * 1024, ends = true, sum = sha256(tar) } = {},
): AsyncIterable<Message> {
  yield { event: { case: "open", value: open } };
  for (let at = 0; at < tar.length; at += chunkBytes) {
    yield { event: { case: "chunk", value: tar.subarray(at, at + chunkBytes) } };
  }
  if (ends) yield { event: { case: "end", value: { sha256: sum } } };
}
