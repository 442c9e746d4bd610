// Adds to package-lock.json the packages of other platforms that the registry in use does not
// hold. Without their entries `npm ci` refuses the lock file. Run it after `npm install`.
import { readFileSync, writeFileSync } from "node:fs";

const SYSTEMS = ["android", "darwin", "freebsd", "openbsd", "openharmony", "win32", "linux"];
const CPUS = { arm64: "arm64", arm: "arm", x64: "x64", ia32: "ia32", ppc64: "ppc64" };
Object.assign(CPUS, { riscv64: "riscv64", s390x: "s390x", loong64: "loong64" });

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
const missing = Object.entries(lock.packages).flatMap(([path, info]) =>
  Object.entries(path === "" ? {} : (info.optionalDependencies ?? {}))
    .filter(([name]) => lock.packages[`node_modules/${name}`] === undefined)
    .map(([name, version]) => [name, entryOf(name, version, info.dev)]),
);
for (const [name, entry] of missing) lock.packages[`node_modules/${name}`] = entry;
lock.packages = Object.fromEntries(
  Object.entries(lock.packages).toSorted(([a], [b]) => (a < b ? -1 : 1)),
);
writeFileSync("package-lock.json", `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${missing.length} packages of other platforms added`);

function entryOf(name, version, isDev) {
  const os = SYSTEMS.find((system) => name.includes(system));
  const cpu = Object.entries(CPUS).find(([word]) => name.includes(word))?.[1];
  if (os === undefined) throw new Error(`${name} is of no platform that its name tells`);
  return {
    version: version.replace(/^[\^~]/, ""),
    ...(cpu === undefined ? {} : { cpu: [cpu] }),
    ...(isDev ? { dev: true } : {}),
    ...(name.includes("musl") ? { libc: ["musl"] } : {}),
    optional: true,
    os: [os],
  };
}
