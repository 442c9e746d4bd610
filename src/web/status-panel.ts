import { type Connection, State, type StatusResponse } from "../../gen/snapshot/snapshot_pb.js";
import type { ProcessSummary } from "../client/process.ts";
import { element } from "./element.ts";
import type { Link } from "./link.ts";
import { Poll } from "./poll.ts";
import { sizeText, spanText } from "./sizes.ts";

const POLL_MS = 1_000;

/** A name, and what kind of text stands below it. */
type Column = readonly [string, "number" | "mono" | ""];

const PROCESS_COLUMNS: readonly Column[] = [
  ["pid", "number"],
  ["command", "mono"],
  ["output", "number"],
];
const CONNECTION_COLUMNS: readonly Column[] = [
  ["id", "number"],
  ["epoch", "number"],
  ["kind", ""],
  ["age", "number"],
  ["open", "number"],
];

const STATES: Record<State, string> = {
  [State.UNSPECIFIED]: "unknown",
  [State.RUNNING]: "running",
  [State.PREPARING]: "preparing for a snapshot",
  [State.PREPARED]: "prepared, may be frozen",
  [State.RESTORING]: "restoring",
};

/** What the guest is doing: its place in a snapshot's life, its programs, its connections. */
export class StatusPanel {
  readonly #link: Link;
  readonly #state = element("p", { role: "status", class: "facts" });
  readonly #facts = element("dl", { class: "facts" });
  readonly #processes = element("tbody");
  readonly #connections = element("tbody");
  readonly #poll = new Poll(POLL_MS, (signal) => this.#look(signal));

  constructor(node: HTMLElement, link: Link) {
    this.#link = link;
    node.append(
      element("div", { class: "head" }, element("h2", {}, "Status")),
      this.#state,
      this.#facts,
      table("Processes", PROCESS_COLUMNS, this.#processes),
      table("Connections", CONNECTION_COLUMNS, this.#connections),
    );
  }

  /** Asks every second while the panel shows. */
  follow(isShown: boolean): void {
    this.#poll.want(isShown);
  }

  async #look(signal: AbortSignal): Promise<void> {
    try {
      const status = await this.#link.snapshot.status({}, { signal });
      this.#show(status);
      this.#showProcesses(await this.#link.processes.list());
    } catch {
      // The bar says when the guest does not answer; this panel shows what was last known.
    }
  }

  #show(status: StatusResponse): void {
    const words = STATES[status.state] ?? "unknown";
    // Only a change is read out.
    if (this.#state.textContent !== words) this.#state.textContent = words;
    const { lastRestore } = status;
    const restored =
      lastRestore === undefined
        ? "never"
        : `${lastRestore.zombiesDestroyed} connections ended, ${lastRestore.connectionsKept} kept`;
    const facts: [string, string][] = [
      ["Generation", String(status.generation)],
      ["Last restore", restored],
      ["Epoch", String(status.epoch)],
      ["Guest's time", timeText(status.time?.seconds)],
      ["Awake for", status.awake.join(", ") || "nothing"],
    ];
    this.#facts.replaceChildren(
      ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    );
    this.#connections.replaceChildren(
      ...status.connections.map((one) => connectionRow(one, status.epoch)),
    );
  }

  #showProcesses(processes: readonly ProcessSummary[]): void {
    this.#processes.replaceChildren(
      ...processes.map(({ pid, command, args, tag, written }) => {
        const line = tag ?? [command, ...args].join(" ");
        const bytes = written.pty + written.stdout + written.stderr;
        return row(PROCESS_COLUMNS, [String(pid), line, sizeText(bytes)]);
      }),
    );
  }
}

function connectionRow(connection: Connection, epoch: bigint): HTMLTableRowElement {
  const { id, protocol, encrypted, age, openStreams, retiring, remoteAddress } = connection;
  const kind = `${protocol}${encrypted ? ", TLS" : ""}${retiring ? ", retiring" : ""}`;
  const lasted = spanText(Number(age?.seconds ?? 0n));
  const cells = [String(id), String(connection.epoch), kind, lasted, String(openStreams)];
  const made = row(CONNECTION_COLUMNS, cells);
  made.title = remoteAddress;
  if (connection.epoch < epoch) made.className = "old";
  return made;
}

function row(columns: readonly Column[], cells: readonly string[]): HTMLTableRowElement {
  const made = cells.map((text, at) =>
    element("td", { class: columns[at]?.[1], title: text }, text),
  );
  return element("tr", {}, ...made);
}

function table(caption: string, columns: readonly Column[], body: HTMLElement): HTMLElement {
  const heads = columns.map(([name, kind]) => element("th", { scope: "col", class: kind }, name));
  const head = element("thead", {}, element("tr", {}, ...heads));
  return element("table", { class: "rows" }, element("caption", {}, caption), head, body);
}

function timeText(seconds: bigint | undefined): string {
  return seconds === undefined ? "unknown" : new Date(Number(seconds) * 1_000).toLocaleTimeString();
}
