import { lstat, readlink, realpath } from "node:fs/promises";
import { AgentError } from "../errors.ts";
import { codeOf } from "../lib/error-text.ts";
import { fromRawPath, type RawPath, systemPath } from "./raw-path.ts";

/** How many links one path may lead through. The kernel itself stops at 40. */
const MOST_LINKS = 255;

/**
 * The path without any link in it. Links that go round in a circle, and more than 255 of them, are
 * `wrong-state`; other failures are those of the system.
 */
export async function resolveLinks(path: RawPath): Promise<RawPath> {
  try {
    return await realpath(systemPath(path), "latin1");
  } catch (error) {
    if (codeOf(error) !== "ELOOP") throw error;
    return await followEachLink(path);
  }
}

async function followEachLink(path: RawPath): Promise<RawPath> {
  let resolved = "";
  const pending = partsOf(path);
  const seen = new Set<string>();
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (name === "..") {
      resolved = resolved.slice(0, Math.max(0, resolved.lastIndexOf("/")));
      continue;
    }
    const next = `${resolved}/${name}`;
    if (!(await lstat(systemPath(next))).isSymbolicLink()) {
      resolved = next;
      continue;
    }
    const place = `${next}\0${pending.join("/")}`;
    if (seen.has(place) || seen.size >= MOST_LINKS) throw tooManyLinks(path);
    seen.add(place);
    const target = await readlink(systemPath(next), "latin1");
    if (target.startsWith("/")) resolved = "";
    pending.push(...partsOf(target));
  }
  return resolved === "" ? "/" : resolved;
}

/** The names in a path, the last one first. */
function partsOf(path: RawPath): string[] {
  return path
    .split("/")
    .filter((name) => name !== "" && name !== ".")
    .toReversed();
}

function tooManyLinks(path: RawPath): AgentError {
  return new AgentError(
    "wrong-state",
    `cyclic symlink or chain >${MOST_LINKS} links at "${fromRawPath(path)}"`,
  );
}
