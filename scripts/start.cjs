"use strict";
// Runs the bundle with the code that V8 compiled for it at build time, which saves a good part of
// the start. A cache that is missing, cut short or of another bundle or Node is not used.
const { versions } = process;
if (Number(versions.node.split(".")[0]) < 22) {
  console.error(
    `thaw: Node 22 or newer is needed, and this is ${versions.node}: run npm ci where thaw is installed`,
  );
  process.exit(1);
}

// Loading this, as http2 does, makes Node ask whether stderr has colours, and the stream it makes for
// that sets O_NONBLOCK for everybody who has stderr from the same parent.
const stderr = Object.getOwnPropertyDescriptor(process, "stderr");
Object.defineProperty(process, "stderr", { configurable: true, value: {} });
require("node:assert");
Object.defineProperty(process, "stderr", stderr);

const { readFileSync } = require("node:fs");
const { Script } = require("node:vm");
const { crc32 } = require("node:zlib");

const filename = `${__dirname}/thaw.cjs`;
// The bundle is ASCII.
const bundle = readFileSync(filename);
const source = `(function (exports, require, module, __filename, __dirname) {${bundle.latin1Slice()}\n})`;

/** The sum of everything that must be the same for `code` to be the code of this bundle. */
function sumOf(code) {
  return crc32(code, crc32(bundle, crc32(`${versions.v8} ${process.arch}`)));
}

function readCache() {
  try {
    const file = readFileSync(`${__dirname}/thaw.cache`);
    const code = file.subarray(4);
    return file.readUInt32LE(0) === sumOf(code) ? code : undefined;
  } catch {
    return undefined;
  }
}

const script = new Script(source, { filename, cachedData: readCache() });
script.runInThisContext()(exports, require, module, filename, __dirname);

/** The content of thaw.cache with all code that has run so far. */
module.exports.createCache = () => {
  const code = script.createCachedData();
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(sumOf(code));
  return Buffer.concat([sum, code]);
};
