/** Makes what other programs import: the client library, and the addon for pages. */
import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

/** What the libraries share with the programs that use them. */
const SHARED = ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-node"];

/** Builds `dist/client.js` and `dist/attach.js`, with their types. */
export async function buildLibraries(root, dist) {
  const common = { bundle: true, format: "esm", legalComments: "none", logLevel: "warning" };
  await build({
    ...common,
    entryPoints: [join(root, "src/client/index.ts")],
    outfile: join(dist, "client.js"),
    platform: "node",
    target: "node22",
    external: SHARED,
  });
  await build({
    ...common,
    entryPoints: [join(root, "src/web/attach.ts")],
    outfile: join(dist, "attach.js"),
    target: "es2022",
    // Pages that speak Connect have these, and must not have them twice.
    external: [...SHARED, "@xterm/xterm"],
  });
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  for (const room of ["client", "web"]) {
    const config = join(root, `src/${room}/tsconfig.types.json`);
    execFileSync(process.execPath, [tsc, "-p", config], { stdio: "inherit" });
  }
  nameCompiled(join(dist, "types/src"));
  cpSync(join(root, "gen"), join(dist, "types/gen"), {
    recursive: true,
    filter: (path) => !path.endsWith(".js"),
  });
}

/** The types of other packages may not name sources. */
function nameCompiled(directory) {
  for (const name of readdirSync(directory, { recursive: true })) {
    if (!name.endsWith(".d.ts")) continue;
    const path = join(directory, name);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace(/(from "\.[^"]+)\.ts"/g, '$1.js"'));
  }
}
