import { type EntryInfo, FileType } from "../../gen/filesystem/filesystem_pb.js";
import { toGuestError } from "../client/errors.ts";
import { ask } from "./dialog.ts";
import { Directory } from "./directory.ts";
import { download } from "./download.ts";
import { element, iconButton } from "./element.ts";
import { FileRow } from "./file-row.ts";
import type { Link } from "./link.ts";
import { nameForm } from "./name-form.ts";
import { ancestorsOf, join, parentOf } from "./paths.ts";
import { UploadList } from "./upload-list.ts";

/** More entries are not drawn: nobody reads them, and the page would stall. */
const MOST_ROWS = 2_000;

const KEY = "thaw.directory";

/** The file browser. */
export class FilesPanel {
  readonly #link: Link;
  readonly #node: HTMLElement;
  readonly #crumbs = element("ol", { class: "crumbs", "aria-label": "Directory" });
  readonly #list = element("ul", { class: "entries", "aria-label": "Entries" });
  readonly #error = element("p", { class: "bad unseen", role: "alert" });
  readonly #picker = element("input", { type: "file", multiple: true, hidden: true });
  readonly #uploads: UploadList;
  readonly #directory: Directory;
  #rows: FileRow[] = [];

  constructor(node: HTMLElement, link: Link) {
    this.#node = node;
    this.#link = link;
    this.#directory = new Directory(sessionStorage.getItem(KEY) ?? "/", {
      link,
      onEntries: (path, entries) => this.#showEntries(path, entries),
      onError: (error) => this.#say(error.message),
    });
    this.#uploads = new UploadList({ target: link.files, onDone: () => this.#directory.refresh() });
    this.#picker.addEventListener("change", () => this.#addPicked());
    node.append(
      this.#head(),
      this.#crumbs,
      this.#error,
      this.#list,
      this.#uploads.node,
      this.#picker,
    );
    this.#list.addEventListener("keydown", (event) => this.#key(event));
    this.#acceptDrops();
    this.#showCrumbs();
  }

  /** Follows the directory while the panel shows. */
  follow(isShown: boolean): void {
    this.#directory.follow(isShown);
  }

  /** Takes the keys to the list. */
  focus(): void {
    const first =
      this.#list.querySelector<HTMLElement>(".open") ?? this.#node.querySelector("button");
    first?.focus();
  }

  #head(): HTMLElement {
    return element(
      "div",
      { class: "head" },
      element("h2", {}, "Files"),
      iconButton("up", "Parent directory", () => this.#go(parentOf(this.#directory.path))),
      iconButton("newdir", "New directory", () => this.#makeDirectory()),
      iconButton("upload", "Upload files", () => this.#picker.click()),
    );
  }

  #go(path: string): void {
    sessionStorage.setItem(KEY, path);
    this.#say("");
    this.#directory.go(path);
    this.#showCrumbs();
  }

  #showCrumbs(): void {
    const steps = ancestorsOf(this.#directory.path);
    this.#crumbs.replaceChildren(
      ...steps.map(({ name, path }, at) => {
        const isLast = at === steps.length - 1;
        const attributes = isLast ? { "aria-current": "location" } : {};
        const step = element(
          "button",
          { type: "button", ...attributes, click: () => this.#go(path) },
          name,
        );
        return element("li", {}, step, at > 0 && !isLast ? "/" : "");
      }),
    );
  }

  #showEntries(path: string, entries: readonly EntryInfo[]): void {
    this.#say("");
    const focused = this.#rows.find(({ node }) => node.contains(document.activeElement));
    // Somebody is typing a name into the list.
    if (this.#list.querySelector("form") !== null) return;
    const ordered = entries.toSorted(directoriesFirst);
    this.#rows = ordered.slice(0, MOST_ROWS).map((entry) => this.#rowOf(path, entry));
    const rest = ordered.length - this.#rows.length;
    const more = rest > 0 ? [note(`and ${rest} more`)] : [];
    const none = ordered.length === 0 ? [note("nothing here")] : [];
    const scrolled = this.#list.scrollTop;
    this.#list.replaceChildren(...this.#rows.map(({ node }) => node), ...more, ...none);
    this.#list.scrollTop = scrolled;
    if (focused !== undefined) this.#rows.find(({ name }) => name === focused.name)?.focus();
  }

  #rowOf(directory: string, entry: EntryInfo): FileRow {
    const path = join(directory, entry.name);
    return new FileRow(entry, {
      onOpen: () =>
        entry.type === FileType.DIRECTORY
          ? this.#go(path)
          : void this.#try(() => download(this.#link, path, entry.name)),
      onRename: (name) => void this.#try(() => this.#rename(path, join(directory, name))),
      onDelete: () => void this.#try(() => this.#delete(path, entry)),
    });
  }

  async #rename(source: string, destination: string): Promise<void> {
    if (source !== destination) await this.#link.files.move({ source, destination });
  }

  async #delete(path: string, { name, type }: EntryInfo): Promise<void> {
    const what = type === FileType.DIRECTORY ? " and everything in it" : "";
    const answer = await ask("Delete", `Delete "${name}"${what}? This cannot be undone.`, [
      { label: "Delete", value: true, kind: "danger" },
    ]);
    if (answer === true) await this.#link.files.remove({ path });
  }

  #makeDirectory(): void {
    const path = this.#directory.path;
    const done = (name: string | undefined) => {
      row.remove();
      if (name === undefined) return;
      void this.#try(async () => {
        await this.#link.files.makeDir({ path: join(path, name) });
      });
    };
    const form = nameForm("", "Name of the new directory", done);
    const row = element("li", {}, form.node);
    this.#list.prepend(row);
    form.focus();
  }

  /** Does something and shows what has come of it, or why nothing has. */
  async #try(act: () => Promise<void>): Promise<void> {
    try {
      await act();
      this.#directory.refresh();
    } catch (reason) {
      this.#say(toGuestError(reason).message);
    }
  }

  #say(text: string): void {
    this.#error.textContent = text;
    this.#error.className = text === "" ? "bad unseen" : "bad empty";
  }

  #addPicked(): void {
    for (const file of this.#picker.files ?? []) this.#add(file);
    this.#picker.value = "";
  }

  #add(file: File): void {
    this.#uploads.add(file, join(this.#directory.path, file.name));
  }

  #acceptDrops(): void {
    const mark = (isOver: boolean) => {
      this.#node.dataset["drop"] = String(isOver);
    };
    this.#node.addEventListener("dragover", (event) => {
      event.preventDefault();
      mark(true);
    });
    this.#node.addEventListener("dragleave", () => mark(false));
    this.#node.addEventListener("drop", (event) => {
      event.preventDefault();
      mark(false);
      for (const file of event.dataTransfer?.files ?? []) this.#add(file);
    });
  }

  #key(event: KeyboardEvent): void {
    const at = this.#rows.findIndex(({ node }) => node.contains(document.activeElement));
    const row = this.#rows[at];
    if (row === undefined || event.target instanceof HTMLInputElement) return;
    if (event.key === "ArrowDown") this.#rows[at + 1]?.focus();
    else if (event.key === "ArrowUp") this.#rows[at - 1]?.focus();
    else if (event.key === "Backspace") this.#go(parentOf(this.#directory.path));
    else if (event.key === "F2") row.startRename();
    else if (event.key === "Delete") row.delete();
    else return;
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
