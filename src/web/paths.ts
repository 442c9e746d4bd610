/** The path of `name` in `directory`. */
export function join(directory: string, name: string): string {
  return directory.endsWith("/") ? `${directory}${name}` : `${directory}/${name}`;
}

/** The directory that `path` lies in; the root lies in itself. */
export function parentOf(path: string): string {
  return path.replace(/\/[^/]*\/?$/, "") || "/";
}

/** The last name of `path`; the root has none. */
export function nameOf(path: string): string {
  return path.split("/").findLast((name) => name !== "") ?? "";
}

/** Every directory on the way to `path`, the root first. */
export function ancestorsOf(path: string): { name: string; path: string }[] {
  const names = path.split("/").filter((name) => name !== "");
  const below = names.map((name, at) => ({ name, path: `/${names.slice(0, at + 1).join("/")}` }));
  return [{ name: "/", path: "/" }, ...below];
}
