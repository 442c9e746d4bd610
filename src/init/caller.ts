import { AgentError } from "../errors.ts";
import type { User, Users } from "../system/users.ts";
import type { Settings } from "./settings.ts";

/**
 * Who a request speaks for. `user` says where relative paths begin and who owns what is made; it
 * is no access check.
 */
export interface Caller {
  /** The account of the request. Throws `unauthenticated` when there is none. */
  user(): User;
  /** Throws `unauthenticated` when the request names an account that does not exist. */
  verify(): void;
  /** The account called `name`, or the default user when absent. Throws `unauthenticated`. */
  userNamed(name: string | undefined): User;
  /** Where an empty path leads; `undefined` means the user's home. */
  readonly workdir: string | undefined;
}

/** The caller of a request whose Basic header names `username`, or nobody. */
export function callerOf(settings: Settings, users: Users, username: string | undefined): Caller {
  const userNamed = (name: string | undefined): User => {
    if (name !== undefined) return known(users, name, "username");
    if (settings.defaultUser === "") throw new AgentError("unauthenticated", "no user specified");
    return known(users, settings.defaultUser, "default user");
  };
  return {
    user: () => userNamed(username),
    userNamed,
    verify: () => {
      if (username !== undefined) known(users, username, "username");
    },
    get workdir() {
      return settings.defaultWorkdir;
    },
  };
}

function known(users: Users, name: string, what: string): User {
  const user = users.find(name);
  if (user === undefined) throw new AgentError("unauthenticated", `invalid ${what}: '${name}'`);
  return user;
}
