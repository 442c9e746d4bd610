/** Makes dist/: everything that `thaw` needs to run but Node itself. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const require = createRequire(import.meta.url);
const { arch } = process;
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

mkdirSync(dist, { recursive: true });
rmSync(join(dist, "thaw.cache"), { force: true });
await build({
  entryPoints: [join(root, "src/main.ts")],
  outfile: join(dist, "thaw.cjs"),
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
copyFileSync(nativeKoffi(), join(dist, "koffi.node"));
copyProgram(`native/linux-${arch}/thaw-spawn`, "thaw-spawn");
copyFileSync(join(root, "scripts/start.cjs"), join(dist, "start.cjs"));
const launcher = readFileSync(join(root, "scripts/launcher.sh"), "utf8");
writeFileSync(join(dist, "thaw"), launcher.replace("@ARCH@", arch));
chmodSync(join(dist, "thaw"), 0o755);
execFileSync(pinnedNode(), [join(root, "scripts/code-cache.cjs")], { stdio: "inherit" });

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

function copyProgram(from, name) {
  copyFileSync(join(root, from), join(dist, name));
  chmodSync(join(dist, name), 0o755);
}

/** The Node that the launcher takes; code for another one would be thrown away. */
function pinnedNode() {
  const pinned = join(root, `node_modules/node-linux-${arch}/bin/node`);
  return existsSync(pinned) ? pinned : process.execPath;
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
