import { readFileSync, statSync } from "node:fs";

/** An account of the guest, as `/etc/passwd` and `/etc/group` have it. */
export interface User {
  name: string;
  uid: number;
  gid: number;
  home: string;
  /** The primary group first, then every group that names the user as a member. */
  groups: number[];
}

/** For how long a found account is believed without looking whether its file has changed, in ms. */
const FRESH_MS = 100;

/**
 * Looks accounts up by name and by id. The files are read again when they have changed, so an
 * account that is added while the agent runs is found at once; what changes about a known one is
 * seen within 100 ms.
 */
export class Users {
  readonly #passwd: Table;
  readonly #group: Table;

  constructor(passwdFile = "/etc/passwd", groupFile = "/etc/group") {
    this.#passwd = new Table(passwdFile);
    this.#group = new Table(groupFile);
  }

  /** The account called `name`, or `undefined`. Decimal ids are not names. */
  find(name: string): User | undefined {
    let row = this.#passwd.row(name);
    if (row === undefined) {
      this.#passwd.refresh(0);
      this.#group.refresh(0);
      row = this.#passwd.row(name);
    }
    if (row === undefined) return undefined;
    const gid = Number(row[3]);
    const others = this.#group
      .rows()
      .filter((fields) => fields[3]?.split(",").includes(name) === true)
      .map((fields) => Number(fields[2]))
      .filter((id) => id !== gid);
    return { name, uid: Number(row[2]), gid, home: row[5] ?? "/", groups: [gid, ...others] };
  }

  /** The name of the account with this uid, or the uid in decimal. */
  nameOf(uid: number): string {
    return this.#passwd.nameOf(uid);
  }

  /** The name of the group with this gid, or the gid in decimal. */
  groupNameOf(gid: number): string {
    return this.#group.nameOf(gid);
  }
}

/** One colon-separated file: its name in the first field, its id in the third. */
class Table {
  readonly #file: string;
  #stamp = "";
  #lookedAt = Number.NEGATIVE_INFINITY;
  #rows: string[][] = [];
  #names = new Map<number, string>();

  constructor(file: string) {
    this.#file = file;
  }

  rows(): string[][] {
    this.refresh();
    return this.#rows;
  }

  row(name: string): string[] | undefined {
    return this.rows().find((fields) => fields[0] === name);
  }

  nameOf(id: number): string {
    this.refresh();
    return this.#names.get(id) ?? String(id);
  }

  /** Reads the file again if it has changed, unless that was looked at in the last `freshMs`. */
  refresh(freshMs = FRESH_MS): void {
    const now = performance.now();
    if (now - this.#lookedAt < freshMs) return;
    this.#lookedAt = now;
    const stat = statSync(this.#file, { throwIfNoEntry: false });
    const stamp =
      stat === undefined ? "missing" : `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`;
    if (stamp === this.#stamp) return;
    const text = stat === undefined ? "" : readFileSync(this.#file, "utf8");
    this.#rows = text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => line.split(":"));
    this.#names = new Map();
    for (const [name, , id] of this.#rows) {
      if (name !== undefined && !this.#names.has(Number(id))) this.#names.set(Number(id), name);
    }
    this.#stamp = stamp;
  }
}
