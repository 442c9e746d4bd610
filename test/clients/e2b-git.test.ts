import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommandExitError, type Git, type Sandbox } from "e2b";
import { describe, expect } from "vitest";
import { test as base } from "../helpers/sandbox.ts";

type Repository = Pick<Sandbox, "git"> & {
  /** The work tree. */
  path: string;
  /** Keeps git away from the configuration of the machine. */
  envs: Record<string, string>;
};

const AUTHOR = { authorName: "A Tester", authorEmail: "tester@example.com" };

const test = base.extend<{ repository: Repository }>({
  repository: async ({ agent, sandbox }, use) => {
    const path = join(agent.directory, "repository");
    const envs = {
      GIT_CONFIG_GLOBAL: join(agent.directory, "gitconfig"),
      GIT_CONFIG_NOSYSTEM: "1",
    };
    await sandbox.git.init(path, { initialBranch: "main", envs });
    await use({ git: sandbox.git, path, envs });
  },
});

/** Writes a file and commits it. */
async function commitFile({ git, path, envs }: Repository, name: string): Promise<void> {
  writeFileSync(join(path, name), `content of ${name}\n`);
  await git.add(path, { files: [name], envs });
  await git.commit(path, `Add ${name}`, { ...AUTHOR, envs });
}

async function names(status: ReturnType<Git["status"]>): Promise<string[][]> {
  return (await status).fileStatus.map(({ name, status }) => [name, status]);
}

describe("git of the e2b package", () => {
  test("adds and commits, and tells the state in between", async ({ repository }) => {
    const { git, path, envs } = repository;
    writeFileSync(join(path, "file"), "content\n");

    const before = await git.status(path, { envs });
    await git.add(path, { envs });
    const added = await git.status(path, { envs });
    const committed = await git.commit(path, "It's the first", { ...AUTHOR, envs });
    const after = await git.status(path, { envs });

    expect(before).toMatchObject({ currentBranch: "main", hasUntracked: true, isClean: false });
    expect(added.fileStatus).toMatchObject([{ name: "file", status: "added", staged: true }]);
    expect(committed.stdout).toContain("It's the first");
    expect(after).toMatchObject({ isClean: true, totalCount: 0 });
  });

  test("makes, changes and deletes branches", async ({ repository }) => {
    const { git, path, envs } = repository;
    await commitFile(repository, "file");

    await git.createBranch(path, "feature", { envs });
    const created = await git.branches(path, { envs });
    await git.checkoutBranch(path, "main", { envs });
    await git.deleteBranch(path, "feature", { envs });
    const deleted = await git.branches(path, { envs });

    expect(created).toEqual({ branches: ["feature", "main"], currentBranch: "feature" });
    expect(deleted).toEqual({ branches: ["main"], currentBranch: "main" });
  });

  test("clones, pushes and pulls between places of the machine", async ({ agent, repository }) => {
    const { git, path, envs } = repository;
    await commitFile(repository, "first");
    const bare = join(agent.directory, "bare.git");
    const clone = join(agent.directory, "clone");
    await git.init(bare, { bare: true, initialBranch: "main", envs });
    await git.remoteAdd(path, "origin", bare, { envs });
    await git.push(path, { remote: "origin", branch: "main", setUpstream: true, envs });

    await git.clone(bare, { path: clone, envs });
    await commitFile(repository, "second");
    await git.push(path, { envs });
    await git.pull(clone, { envs });

    expect(await git.remoteGet(path, "origin", { envs })).toBe(bare);
    expect(readFileSync(join(clone, "second"), "utf8")).toBe("content of second\n");
    expect(await git.status(clone, { envs })).toMatchObject({
      upstream: "origin/main",
      ahead: 0,
      behind: 0,
      isClean: true,
    });
  });

  test("keeps the settings of the user", async ({ repository }) => {
    const { git, path, envs } = repository;

    await git.configureUser("Jane O'Doe", "jane@example.com", { envs });
    await git.setConfig("core.abbrev", "12", { scope: "local", path, envs });

    expect(await git.getConfig("user.name", { envs })).toBe("Jane O'Doe");
    expect(await git.getConfig("user.email", { envs })).toBe("jane@example.com");
    expect(await git.getConfig("core.abbrev", { scope: "local", path, envs })).toBe("12");
    expect(await git.getConfig("no.such", { envs })).toBeUndefined();
  });

  test("takes changes back", async ({ repository }) => {
    const { git, path, envs } = repository;
    await commitFile(repository, "file");
    writeFileSync(join(path, "file"), "changed\n");
    writeFileSync(join(path, "new"), "new\n");
    await git.add(path, { envs });

    await git.restore(path, { paths: ["new"], staged: true, envs });
    const unstaged = await names(git.status(path, { envs }));
    await git.reset(path, { mode: "hard", envs });

    expect(unstaged).toEqual(
      expect.arrayContaining([
        ["file", "modified"],
        ["new", "untracked"],
      ]),
    );
    expect(readFileSync(join(path, "file"), "utf8")).toBe("content of file\n");
  });

  test("works as another user in a home of their own", async ({ sandbox, user }) => {
    const options = { user: user.name };
    try {
      await sandbox.git.init("repository", { ...options, cwd: user.home });
      const { stdout } = await sandbox.commands.run("stat -c %U repository/.git", options);
      expect(stdout).toBe(`${user.name}\n`);
    } finally {
      await sandbox.files.remove("repository", options);
    }
  });

  test("fails with its own code and words", async ({ agent, repository: { git, envs } }) => {
    const failure = await git
      .clone(join(agent.directory, "nothing"), { envs })
      .catch((reason: unknown) => reason);

    expect(failure).toBeInstanceOf(CommandExitError);
    expect((failure as CommandExitError).exitCode).toBe(128);
    expect((failure as CommandExitError).stderr).toContain("does not exist");
  });
});
