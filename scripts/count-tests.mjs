/**
 * Prints `N passed, N failed, N skipped` for a report of vitest's JSON reporter, and exits with 1
 * unless at least one test passed and none failed.
 */
import { readFileSync } from "node:fs";

const { testResults } = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const statuses = testResults.flatMap((file) => {
  const tests = file.assertionResults.map(({ status }) => status);
  // A file that fails outside of its tests, as by an import, counts as one failed test.
  return file.status === "failed" && !tests.includes("failed") ? [...tests, "failed"] : tests;
});
const count = (status) => statuses.filter((one) => one === status).length;

const passed = count("passed");
const failed = count("failed");
console.log(`${passed} passed, ${failed} failed, ${statuses.length - passed - failed} skipped`);
process.exitCode = passed > 0 && failed === 0 ? 0 : 1;
