/** What the page's address asks for. */
export interface Address {
  /** The access token, from the fragment or from earlier in this window. */
  token: string | undefined;
  /** Only shows this process, whose token this is. */
  view: { pid: number; cols: number; rows: number } | undefined;
}

const TOKEN_KEY = "thaw.token";

/**
 * Reads the fragment, which no request carries, and takes it out of the address bar. A token is
 * kept for this window alone; one that only shows is kept in the address, which is what is shared.
 */
export function readAddress(): Address {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get("token") ?? undefined;
  const pid = Number(fragment.get("view") ?? 0);
  if (pid > 0) {
    const [cols = 80, rows = 24] = (fragment.get("size") ?? "80x24").split("x").map(Number);
    return { token, view: { pid, cols, rows } };
  }
  if (token !== undefined) {
    keepToken(token);
    history.replaceState(null, "", location.pathname);
  }
  return { token: token ?? sessionStorage.getItem(TOKEN_KEY) ?? undefined, view: undefined };
}

/** Keeps `token` for reloads of this window. */
export function keepToken(token: string): void {
  sessionStorage.setItem(TOKEN_KEY, token);
}

/** The address of a page that only shows process `pid`, by a token that opens nothing else. */
export function viewAddress(
  pid: number,
  size: { cols: number; rows: number },
  token: string,
): string {
  const fragment = new URLSearchParams({ view: String(pid), size: `${size.cols}x${size.rows}` });
  if (token !== "") fragment.set("token", token);
  return `${location.origin}/#${fragment}`;
}
