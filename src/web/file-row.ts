import { type EntryInfo, FileType } from "../../gen/filesystem/filesystem_pb.js";
import { drawing, element, iconButton } from "./element.ts";
import { nameForm } from "./name-form.ts";
import { sizeText } from "./sizes.ts";

/** What can be done with an entry. */
export interface FileRowOptions {
  /** Enters a directory, downloads a file. */
  onOpen: () => void;
  /** `undefined`: it keeps its name. */
  onRename: (name: string | undefined) => void;
  onDelete: () => void;
}

/** One entry of a directory. */
export class FileRow {
  readonly node: HTMLLIElement;
  readonly name: string;
  readonly #options: FileRowOptions;
  readonly #open: HTMLButtonElement;
  readonly #looks: string;

  constructor(entry: EntryInfo, options: FileRowOptions) {
    const { name, type, size } = entry;
    this.#looks = looksOf(entry);
    const isDirectory = type === FileType.DIRECTORY;
    this.name = name;
    this.#options = options;
    this.#open = element(
      "button",
      {
        type: "button",
        class: isDirectory ? "open directory" : "open",
        title: describe(entry),
        "aria-label": isDirectory
          ? `${name}, directory`
          : `${name}, ${sizeText(Number(size))}, download`,
        click: options.onOpen,
      },
      drawing(isDirectory ? "folder" : entry.symlinkTarget === undefined ? "file" : "link"),
      element("span", { class: "name" }, name),
      element("span", { class: "size" }, isDirectory ? "" : sizeText(Number(size))),
    );
    this.node = element("li", {}, this.#open, this.#acts(isDirectory));
  }

  /** Whether `entry` would look the same. */
  shows(entry: EntryInfo): boolean {
    return this.#looks === looksOf(entry);
  }

  /** Takes the keys to it. */
  focus(): void {
    this.#open.focus();
  }

  /** Lets its name be changed in place. */
  startRename(): void {
    const before = [...this.node.childNodes];
    const form = nameForm(this.name, `New name of ${this.name}`, (name) => {
      this.node.replaceChildren(...before);
      this.focus();
      this.#options.onRename(name);
    });
    this.node.replaceChildren(form.node);
    form.focus();
  }

  /** Deletes it. */
  delete(): void {
    this.#options.onDelete();
  }

  #acts(isDirectory: boolean): HTMLElement {
    const { name } = this;
    const get = iconButton("download", `Download ${name}`, this.#options.onOpen);
    return element(
      "span",
      { class: "acts" },
      ...(isDirectory ? [] : [get]),
      iconButton("pen", `Rename ${name}`, () => this.startRename()),
      iconButton("bin", `Delete ${name}`, () => this.delete()),
    );
  }
}

function looksOf(entry: EntryInfo): string {
  return `${entry.type} ${entry.size} ${describe(entry)}`;
}

function describe({
  name,
  permissions,
  owner,
  group,
  modifiedTime,
  symlinkTarget,
}: EntryInfo): string {
  const target = symlinkTarget === undefined ? "" : ` → ${symlinkTarget}`;
  const time = new Date(Number(modifiedTime?.seconds ?? 0n) * 1_000).toLocaleString();
  return `${name}${target}\n${permissions} ${owner}:${group}\n${time}`;
}
