import { describe, expect, test } from "vitest";
import { type PlanOptions, planCopy } from "../../../src/client/copy/plan.ts";
import type { TreePath } from "../../../src/client/index.ts";

function entry(path: string, more: Partial<TreePath> = {}): TreePath {
  return {
    path,
    kind: "file",
    size: 10,
    mode: 0o644,
    modifiedAt: new Date(1_600_000_000_250),
    linkTarget: "",
    uid: 0,
    gid: 0,
    sha256: undefined,
    ...more,
  };
}

const directory = (path: string) => entry(path, { kind: "directory", size: 0, mode: 0o755 });
const paths = (entries: readonly TreePath[]) => entries.map(({ path }) => path);

function planOf(
  source: TreePath[],
  there: TreePath[],
  options: PlanOptions = {},
  unseen: string[] = [],
) {
  return planCopy({ source, there, unseen }, options);
}

describe("a plan to copy", () => {
  test("has what is missing", () => {
    const link = entry("l", { kind: "symlink", linkTarget: "x" });

    const plan = planOf([directory("d"), entry("d/f"), link], []);

    expect(paths(plan.directories)).toEqual(["d"]);
    expect(paths(plan.files)).toEqual(["d/f"]);
    expect(paths(plan.links)).toEqual(["l"]);
    expect([plan.bytes, plan.sameBytes]).toEqual([10, 0]);
  });

  test.for([
    ["size", { size: 11 }],
    ["mode", { mode: 0o600 }],
    ["time", { modifiedAt: new Date(1_600_000_001_250) }],
  ] as const)("has a file of another %s", ([, other]) => {
    expect(paths(planOf([entry("f")], [entry("f", other)]).files)).toEqual(["f"]);
  });

  test.for([
    ["the same time", {}],
    ["a time in whole seconds", { modifiedAt: new Date(1_600_000_000_000) }],
    ["a time that was rounded", { modifiedAt: new Date(1_600_000_000_251) }],
    ["another owner", { uid: 1_000 }],
  ] as const)("leaves a file alone with %s", ([, other]) => {
    const plan = planOf([entry("f")], [entry("f", other)]);

    expect([paths(plan.files), plan.sameBytes]).toEqual([[], 10]);
  });

  test("goes by content when it is told to", () => {
    const options = { byChecksum: true };
    const [one, other] = [new Uint8Array([1]), new Uint8Array([2])];
    const source = [entry("f", { sha256: one })];

    expect(planOf(source, [entry("f", { sha256: other })], options).files).toHaveLength(1);
    const same = entry("f", { sha256: one, modifiedAt: new Date(0) });
    expect(planOf(source, [same], options).files).toHaveLength(0);
    expect(planOf(source, [entry("f")], options).files).toHaveLength(1);
  });

  test("removes what is in the way, and the rest only when it is told to", () => {
    const source = [directory("a"), entry("b")];
    const there = [entry("a"), directory("b"), entry("b/c"), directory("d"), entry("d/e")];

    expect(paths(planOf(source, there).removals)).toEqual(["a", "b"]);
    const deleting = planOf(source, there, { deletes: true });
    expect(paths(deleting.removals)).toEqual(["a", "b", "d"]);
    const unsure = planOf(source, there, { deletes: true }, ["e: permission denied"]);
    expect(paths(unsure.removals), "what was not seen may be there").toEqual(["a", "b"]);
  });

  test("puts a directory's mode right, and leaves out what is no file", () => {
    const pipe = entry("p", { kind: "other" });

    const plan = planOf([directory("d"), pipe], [{ ...directory("d"), mode: 0o700 }]);

    expect(paths(plan.directories)).toEqual(["d"]);
    expect(paths(plan.ignored)).toEqual(["p"]);
    expect(plan.files).toEqual([]);
  });
});
