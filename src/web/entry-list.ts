import { type EntryInfo, FileType } from "../../gen/filesystem/filesystem_pb.js";
import { element, place } from "./element.ts";
import { FileRow } from "./file-row.ts";
import { nameForm } from "./name-form.ts";
import { join, nameOf } from "./paths.ts";

/** More entries are not drawn: nobody reads them, and the page would stall. */
const MOST_ROWS = 2_000;

/** What can be done in a list of entries, each with its path. */
export interface EntryListOptions {
  /** Enters a directory, downloads a file. */
  onOpen: (path: string, entry: EntryInfo) => void;
  onRename: (path: string, name: string) => void;
  onDelete: (path: string, entry: EntryInfo) => void;
  /** Goes to the parent directory. */
  onUp: () => void;
}

/** The entries of a directory. */
export class EntryList {
  readonly node = element("ul", { class: "entries", "aria-label": "Entries" });
  readonly #options: EntryListOptions;
  #path = "";
  #rows: FileRow[] = [];
  /** What came while somebody typed a name into the list. */
  #late: { path: string; entries: readonly EntryInfo[] } | undefined;

  constructor(options: EntryListOptions) {
    this.#options = options;
    this.node.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Whether an entry of that name shows. */
  has(name: string): boolean {
    return this.#rows.some((row) => row.name === name);
  }

  /** Takes the keys to the first entry. `false`: there is none. */
  focus(): boolean {
    this.#rows[0]?.focus();
    return this.#rows.length > 0;
  }

  /** Shows what is in `path`. `true`: the entry that had the keys is gone with its directory. */
  show(path: string, entries: readonly EntryInfo[]): boolean {
    if (this.node.querySelector("form") !== null) {
      this.#late = { path, entries };
      return false;
    }
    const before = { path: this.#path, focused: this.#focused?.name };
    this.#path = path;
    const ordered = entries.toSorted(directoriesFirst);
    this.#rows = this.#rowsOf(ordered.slice(0, MOST_ROWS), path === before.path);
    const rest = ordered.length - this.#rows.length;
    const more = rest > 0 ? [note(`and ${rest} more`)] : [];
    const none = ordered.length === 0 ? [note("nothing here")] : [];
    place(this.node, [...this.#rows.map(({ node }) => node), ...more, ...none]);
    if (before.focused === undefined) return false;
    const name = path === before.path ? before.focused : nameOf(before.path);
    const next = this.#rows.find((row) => row.name === name);
    next?.focus();
    return next === undefined && path !== before.path;
  }

  /** Shows nothing, as of a directory that cannot be looked at. `true`: an entry had the keys. */
  clear(): boolean {
    const hadKeys = this.#focused !== undefined;
    this.#rows = [];
    this.#path = "";
    this.node.replaceChildren();
    return hadKeys;
  }

  /** Takes the name of something new in a row of its own. */
  nameNew(label: string, onName: (name: string) => void): void {
    const form = nameForm("", label, (name) => {
      row.remove();
      this.#showLate();
      if (name !== undefined) onName(name);
    });
    const row = element("li", {}, form.node);
    this.node.prepend(row);
    form.focus();
  }

  get #focused(): FileRow | undefined {
    return this.#rows.find(({ node }) => node.contains(document.activeElement));
  }

  /** A row of before stays where it can: somebody may be about to click it. */
  #rowsOf(entries: readonly EntryInfo[], isSame: boolean): FileRow[] {
    const known = new Map(isSame ? this.#rows.map((row) => [row.name, row]) : []);
    return entries.map((entry) => {
      const row = known.get(entry.name);
      return row?.shows(entry) === true ? row : this.#rowOf(entry);
    });
  }

  #rowOf(entry: EntryInfo): FileRow {
    const { onOpen, onRename, onDelete } = this.#options;
    const path = join(this.#path, entry.name);
    return new FileRow(entry, {
      onOpen: () => onOpen(path, entry),
      onRename: (name) => {
        this.#showLate();
        if (name !== undefined && name !== entry.name) onRename(path, name);
      },
      onDelete: () => onDelete(path, entry),
    });
  }

  #showLate(): void {
    const late = this.#late;
    this.#late = undefined;
    if (late !== undefined) this.show(late.path, late.entries);
  }

  #key(event: KeyboardEvent): void {
    const row = this.#focused;
    if (row === undefined || event.target instanceof HTMLInputElement) return;
    const at = this.#rows.indexOf(row);
    const acts: Record<string, (() => void) | undefined> = {
      ArrowDown: () => this.#rows[at + 1]?.focus(),
      ArrowUp: () => this.#rows[at - 1]?.focus(),
      Backspace: this.#options.onUp,
      F2: () => row.startRename(),
      Delete: () => row.delete(),
    };
    const act = acts[event.key];
    if (act === undefined) return;
    act();
    event.preventDefault();
  }
}

function note(text: string): HTMLElement {
  return element("li", { class: "empty" }, text);
}

function rank({ type }: EntryInfo): number {
  return type === FileType.DIRECTORY ? 0 : 1;
}

function directoriesFirst(left: EntryInfo, right: EntryInfo): number {
  return rank(left) - rank(right) || left.name.localeCompare(right.name, "en", { numeric: true });
}
