/** Makes dist/: everything that `thaw` needs to run but Node itself. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { buildLibraries } from "./build-libraries.mjs";
import { buildWeb } from "./build-web.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const require = createRequire(import.meta.url);
const { arch } = process;
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

const { outputFiles } = await build({
  entryPoints: [join(root, "src/main.ts")],
  write: false,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node22",
  charset: "ascii",
  legalComments: "none",
  logLevel: "warning",
  define: {
    BUILD: JSON.stringify({ version, commit: commit() }),
    "import.meta.dirname": "__dirname",
  },
  plugins: [besideTheBundle()],
});
const launcher = readFileSync(join(root, "scripts/launcher.sh"), "utf8");
mkdirSync(dist, { recursive: true });
place("thaw.cjs", outputFiles[0].contents);
place("start.cjs", readFileSync(join(root, "scripts/start.cjs")));
place("koffi.node", readFileSync(nativeKoffi()));
place("thaw-spawn", readFileSync(join(root, `native/linux-${arch}/thaw-spawn`)), 0o755);
place("thaw", launcher.replace("@ARCH@", arch), 0o755);
compileInto("thaw.cache");
await buildWeb(root, join(dist, "web"));
await buildLibraries(root, dist);

/** Replaces a file whole: an agent that runs from here may have the old one open or mapped. */
function place(name, content, mode = 0o644) {
  const draft = draftOf(name);
  writeFileSync(draft, content, { mode });
  renameSync(draft, join(dist, name));
}

function draftOf(name) {
  return join(dist, `${name}.${process.pid}`);
}

/** Takes koffi's native half from beside the bundle: its own search knows only node_modules. */
function besideTheBundle() {
  return {
    name: "beside-the-bundle",
    setup(setup) {
      setup.onResolve({ filter: /^koffi$/ }, () => ({ path: "koffi", namespace: "native" }));
      setup.onResolve({ filter: /\.node$/ }, ({ path }) => ({ path, external: true }));
      setup.onLoad({ filter: /.*/, namespace: "native" }, () => ({
        contents: 'module.exports = require("./koffi.node");',
      }));
    },
  };
}

function nativeKoffi() {
  const found = dirname(require.resolve(`@koromix/koffi-linux-${arch}/package.json`));
  return join(found, `linux_${arch}`, "koffi.node");
}

/** Keeps the bundle as the launcher's Node compiles it; another one would not take it. */
function compileInto(name) {
  const pinned = join(root, `node_modules/node-linux-${arch}/bin/node`);
  const node = existsSync(pinned) ? pinned : process.execPath;
  const draft = draftOf(name);
  execFileSync(node, [join(root, "scripts/code-cache.cjs"), draft], { env: {}, stdio: "inherit" });
  renameSync(draft, join(dist, name));
}

function commit() {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return "unknown";
  }
}
