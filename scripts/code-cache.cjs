"use strict";
// Writes the content of dist/thaw.cache to the file that is named: lets the bundle load and do its
// least, and keeps the code that this took.
const { writeFileSync } = require("node:fs");

const [path] = process.argv.splice(2, 1, "-version");
process.env.THAW_CALLED_AS = "envd";
process.stdout.write = () => true;
const { createCache } = require("../dist/start.cjs");
process.once("beforeExit", () => writeFileSync(path, createCache()));
