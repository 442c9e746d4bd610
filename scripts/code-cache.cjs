"use strict";
// Prints the content of dist/thaw.cache: lets the bundle load and do its least, and keeps the code
// that this took.
const { writeSync } = require("node:fs");

process.env.THAW_CALLED_AS = "envd";
process.argv.splice(2, Number.POSITIVE_INFINITY, "-version");
process.stdout.write = () => true;
const { createCache } = require("../dist/start.cjs");
process.once("beforeExit", () => {
  const cache = createCache();
  for (let done = 0; done < cache.length; ) done += writeSync(1, cache, done);
});
