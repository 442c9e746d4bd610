import { type EntryInfo, FileType } from "../../gen/filesystem/filesystem_pb.js";
import { GuestError, toGuestError } from "../client/errors.ts";
import { Crumbs } from "./crumbs.ts";
import { ask } from "./dialog.ts";
import { Directory } from "./directory.ts";
import { download } from "./download.ts";
import { element, iconButton } from "./element.ts";
import { EntryList } from "./entry-list.ts";
import type { Link } from "./link.ts";
import { join, parentOf } from "./paths.ts";
import { UploadList } from "./upload-list.ts";

const KEY = "thaw.directory";

/** The file browser. */
export class FilesPanel {
  readonly #link: Link;
  readonly #node: HTMLElement;
  readonly #crumbs = new Crumbs((path) => this.#go(path));
  readonly #entries = new EntryList({
    onOpen: (path, entry) => this.#open(path, entry),
    onRename: (path, name) => void this.#try(() => this.#rename(path, name)),
    onDelete: (path, entry) => void this.#try(() => this.#delete(path, entry)),
    onUp: () => this.#go(parentOf(this.#directory.path)),
  });
  readonly #error = element("p", { class: "bad unseen", role: "alert" });
  readonly #picker = element("input", { type: "file", multiple: true, hidden: true });
  readonly #uploads: UploadList;
  readonly #directory: Directory;

  constructor(node: HTMLElement, link: Link) {
    this.#node = node;
    this.#link = link;
    this.#directory = new Directory(sessionStorage.getItem(KEY) ?? "/", {
      link,
      onEntries: (path, entries) => this.#showEntries(path, entries),
      onError: (error) => this.#showError(error),
    });
    this.#uploads = new UploadList({ target: link.files, onDone: () => this.#directory.refresh() });
    this.#picker.addEventListener("change", () => this.#addPicked());
    node.append(
      this.#head(),
      this.#crumbs.node,
      this.#error,
      this.#entries.node,
      this.#uploads.node,
      this.#picker,
    );
    this.#acceptDrops();
    this.#crumbs.show(this.#directory.path);
  }

  /** Follows the directory while the panel shows. */
  follow(isShown: boolean): void {
    this.#directory.follow(isShown);
  }

  /** Takes the keys to the list. */
  focus(): void {
    if (!this.#entries.focus()) this.#node.querySelector("button")?.focus();
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
    this.#crumbs.show(path);
  }

  #showEntries(path: string, entries: readonly EntryInfo[]): void {
    this.#say("");
    if (this.#entries.show(path, entries)) this.focus();
  }

  #showError({ message }: GuestError): void {
    this.#say(message);
    if (this.#entries.clear()) this.focus();
  }

  #open(path: string, { name, type }: EntryInfo): void {
    if (type === FileType.DIRECTORY) this.#go(path);
    else void this.#try(() => download(this.#link, path, name));
  }

  async #rename(source: string, name: string): Promise<void> {
    if (this.#entries.has(name)) throw new GuestError("already-exists", `"${name}" exists already`);
    await this.#link.files.move({ source, destination: join(parentOf(source), name) });
  }

  async #delete(path: string, { name, type }: EntryInfo): Promise<void> {
    const what = type === FileType.DIRECTORY ? " and everything in it" : "";
    const answer = await ask("Delete", `Delete "${name}"${what}? This cannot be undone.`, [
      { label: "Delete", value: true, kind: "danger" },
    ]);
    if (answer === true) await this.#link.files.remove({ path });
  }

  #makeDirectory(): void {
    const { path } = this.#directory;
    this.#entries.nameNew("Name of the new directory", (name) => {
      void this.#try(async () => {
        await this.#link.files.makeDir({ path: join(path, name) });
      });
    });
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
    this.#error.classList.toggle("unseen", text === "");
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
}
