"use strict";
// Writes dist/thaw.cache: lets the bundle load and do its least, and keeps the code that took.
const { writeFileSync } = require("node:fs");
const { join } = require("node:path");

const dist = join(__dirname, "../dist");
process.env.THAW_CALLED_AS = "envd";
process.argv.splice(2, Number.POSITIVE_INFINITY, "-version");
process.stdout.write = () => true;
const { createCache } = require(join(dist, "start.cjs"));
process.once("beforeExit", () => writeFileSync(join(dist, "thaw.cache"), createCache()));
