import { expect, test } from "vitest";
import { findOwnGroup, GroupTree } from "../../../src/system/cgroup-tree.ts";

const UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
const HYBRID = `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
38 31 0:35 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw
`;
const PART = "30 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
const SPACED = "30 23 0:26 / /mnt/my\\040groups rw - cgroup2 cgroup2 rw\n";

test.for([
  [
    "/sys/fs/cgroup",
    "0::/system.slice/envd.service\n",
    UNIFIED,
    "/sys/fs/cgroup/system.slice/envd.service",
  ],
  ["/sys/fs/cgroup", "0::/\n", UNIFIED, "/sys/fs/cgroup"],
  ["/sys/fs/cgroup/unified/x", "4:memory:/m\n0::/a/b\n", HYBRID, "/sys/fs/cgroup/unified/a/b"],
  ["/sys/fs/cgroup", "0::/docker/abc/x\n", PART, "/sys/fs/cgroup/x"],
  ["/sys/fs/cgroup", "0::/docker/abc\n", PART, "/sys/fs/cgroup"],
  ["/sys/fs/cgroup", "0::/docker/abcd\n", PART, "/"],
  ["/sys/fs/cgroup", "0::/../other\n", UNIFIED, "/"],
  ["/mnt/my groups", "0::/a\n", SPACED, "/mnt/my groups/a"],
  ["/sys/fs/cgroup", "4:memory:/m\n", UNIFIED, undefined],
  ["/sys/fs/cgroup", "0::/a\n", "", undefined],
  ["/elsewhere", "0::/a\n", UNIFIED, undefined],
] as const)("seen from %s, %j is in %4$s", ([root, cgroup, mountinfo, own]) => {
  expect(findOwnGroup(root, cgroup, mountinfo)).toBe(own);
});

test.for([
  ["user", "workload"],
  ["user/nested", "workload"],
  ["ptys", "workload"],
  ["socats", "allowed"],
  ["init.scope", "allowed"],
  ["init.scope/below", "allowed"],
  ["init.scope.other", "workload"],
  ["system.slice", "own"],
  ["system.slice/envd.service", "own"],
  ["system.slice/envd.service/below", "workload"],
  ["system.slice/cron.service", "workload"],
  ["system.slice/rpcbind.socket", "allowed"],
  ["system.slice/systemd-journald.service/sub", "allowed"],
  ["machine.slice", "workload"],
  ["", "own"],
] as const)("for an agent that is a service, %j is %s", ([name, role]) => {
  const tree = new GroupTree("/cg", "/cg/system.slice/envd.service");

  expect(tree.role(name === "" ? "/cg" : `/cg/${name}`)).toBe(role);
});

test("for an agent at the root, the parents of what must go on are passed through", () => {
  const tree = new GroupTree("/cg", "/cg");

  expect(tree.role("/cg")).toBe("own");
  expect(tree.role("/cg/system.slice")).toBe("parent");
  expect(tree.role("/cg/system.slice/cron.service")).toBe("workload");
});

test("for an agent outside of the tree, all of the tree is somebody else's", () => {
  const tree = new GroupTree("/cg/a", "/cg");

  expect(tree.role("/cg/a")).toBe("parent");
  expect(tree.role("/cg/a/user")).toBe("workload");
});
