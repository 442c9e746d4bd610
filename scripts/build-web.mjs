/** Makes the web terminal's files: bundled, named after their content, compressed beside. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** What the manifest is called that the agent reads. */
const LIST = "files.json";

/**
 * Builds `src/web` of `root` into `directory`. Files of the build before stay beside the new ones:
 * an agent that runs may still be asked for them.
 */
export async function buildWeb(root, directory) {
  mkdirSync(directory, { recursive: true });
  const before = namesIn(directory);
  const { outputFiles } = await build({
    entryPoints: ["main.ts", "style.css"].map((name) => join(root, "src/web", name)),
    outdir: directory,
    entryNames: "[name]-[hash]",
    write: false,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022", "chrome110", "firefox115", "safari16.4"],
    charset: "ascii",
    legalComments: "none",
    logLevel: "warning",
  });
  const icon = readFileSync(join(root, "src/web/icon.svg"));
  const files = [
    ...outputFiles.map(({ path, contents }) => asset(basename(path), Buffer.from(contents))),
    asset(`icon-${hashOf(icon).slice(0, 8)}.svg`, icon),
  ];
  const page = pageOf(readFileSync(join(root, "src/web/index.html"), "utf8"), files);
  files.push({ path: "/", file: "index.html", content: page });
  for (const { file, content } of files) {
    writeFileSync(join(directory, file), content);
    writeFileSync(join(directory, `${file}.gz`), gzipSync(content, { level: 9 }));
  }
  const list = files.map(({ path, file, content }) => ({ path, file, etag: etagOf(content) }));
  writeFileSync(join(directory, LIST), JSON.stringify(list));
  const keep = new Set([...before, ...files.map(({ file }) => file), LIST]);
  for (const name of readdirSync(directory)) {
    if (!keep.has(name.replace(/\.gz$/, ""))) rmSync(join(directory, name));
  }
}

function namesIn(directory) {
  const list = join(directory, LIST);
  if (!existsSync(list)) return [];
  return JSON.parse(readFileSync(list, "utf8")).map(({ file }) => file);
}

function asset(file, content) {
  return { path: `/web/${file}`, file, content };
}

/** Puts the files' names in place of `{{main.js}}` and the like. */
function pageOf(template, files) {
  const named = template.replace(/\{\{(\w+)\.(\w+)\}\}/g, (_, name, extension) => {
    const found = files.find(
      ({ file }) => file.startsWith(`${name}-`) && file.endsWith(`.${extension}`),
    );
    if (found === undefined) throw new Error(`the build made no ${name}.${extension}`);
    return found.path;
  });
  return Buffer.from(named);
}

function etagOf(content) {
  return `"${hashOf(content).slice(0, 20)}"`;
}

function hashOf(content) {
  return createHash("sha256").update(content).digest("hex");
}
