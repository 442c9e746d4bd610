import { defineConfig } from "vitest/config";

/** An event that is waited for may take long on a machine that is busy with other tests. */
const expectation = { poll: { timeout: 10_000 } };

/**
 * CI shares its processors with others: what misses a time there is tried again, and says so. What is
 * broken stays red.
 */
const retry = process.env["CI"] === undefined ? 0 : 2;

const project = (name: string, include: string[], testTimeout: number) => ({
  test: {
    name,
    include,
    testTimeout,
    hookTimeout: 30_000,
    pool: "forks" as const,
    expect: expectation,
    ...(name !== "unit" && { retry }),
  },
});

/** A file that `.ci/run` counts the tests from. */
const report = process.env["THAW_TEST_REPORT"];

export default defineConfig({
  test: {
    ...(report !== undefined && { reporters: ["default", "json"], outputFile: { json: report } }),
    projects: [
      project("unit", ["test/*.test.ts", "test/unit/**/*.test.ts"], 20_000),
      project("integration", ["test/integration/**/*.test.ts"], 30_000),
      {
        test: {
          name: "vm",
          include: ["test/vm/**/*.test.ts"],
          testTimeout: 1_800_000,
          hookTimeout: 120_000,
          pool: "forks" as const,
          retry,
          // Two emulated machines at once would measure each other.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      project("cli", ["test/cli/**/*.test.ts"], 60_000),
      {
        test: {
          name: "stalls",
          include: ["test/stalls/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 30_000,
          pool: "forks" as const,
          retry,
          // Readers that are watched for minutes are watched together.
          maxConcurrency: 100,
          // Rates are measured: nothing else runs beside.
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "browser",
          include: ["test/browser/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          pool: "forks" as const,
          retry,
          // Browsers at once would make each other wait.
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      project("clients", ["test/clients/**/*.test.ts"], 60_000),
    ],
  },
});
