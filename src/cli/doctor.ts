import { VARIABLES } from "../config.ts";
import { UsageError } from "./usage-error.ts";

const HERE = "http://127.0.0.1:49983";

/** What `thaw doctor --help` prints. */
const USAGE = `Usage: thaw doctor clones [URL...]

Shows which life of its machine each guest is in (${HERE}), and whether
two of them would draw the same random numbers. Exits with 1 when two would, or
when a guest does not answer. The token is taken from the variable THAW_TOKEN.
`;

/** What it asks for: a text, or a task, which gives the exit code. */
export type DoctorCommand =
  | { kind: "print"; text: string }
  | { kind: "task"; run: () => Promise<number> };

/** One guest, as the table shows it. */
interface Finding {
  url: string;
  generation: string;
  id: string;
}

/** Reads what follows `thaw doctor`. Throws `UsageError`. */
export function parseDoctor(argv: readonly string[]): DoctorCommand {
  const [topic, ...urls] = argv;
  if (topic === "--help" || topic === "-h") return { kind: "print", text: USAGE };
  if (topic !== "clones") throw new UsageError(`doctor: "${topic ?? ""}" is not clones`);
  for (const url of urls) if (!URL.canParse(url)) throw new UsageError(`"${url}" is not a URL`);
  return { kind: "task", run: () => compareClones(urls.length === 0 ? [HERE] : urls) };
}

/** Prints a line for each guest and a verdict. Returns the exit code. */
async function compareClones(urls: readonly string[]): Promise<number> {
  const findings = await Promise.all(urls.map(examine));
  const known = findings.filter(({ id }) => id !== "");
  for (const { url, generation, id } of findings) {
    process.stdout.write(`${generation.padEnd(14)}${id.padEnd(24)}${url}\n`);
  }
  const isEachAnother = new Set(known.map(({ id }) => id)).size === known.length;
  const verdict = isEachAnother ? "they differ" : "TWO ARE THE SAME: send each its own entropy";
  process.stdout.write(known.length > 1 ? `${verdict}\n` : "");
  return isEachAnother && known.length === findings.length ? 0 : 1;
}

async function examine(url: string): Promise<Finding> {
  // The agent starts without what only a caller needs.
  const { Guest } = await import("../client/index.ts");
  const token = VARIABLES.token();
  using guest = new Guest(url, token === undefined ? {} : { token });
  try {
    const { generation, generationId } = await guest.snapshot.status();
    return { url, generation: `generation ${generation}`, id: generationId };
  } catch (reason) {
    process.stderr.write(
      `thaw: ${url}: ${reason instanceof Error ? reason.message : String(reason)}\n`,
    );
    return { url, generation: "no answer", id: "" };
  }
}
