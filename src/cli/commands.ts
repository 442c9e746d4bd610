import { ATTACH } from "./attach.ts";
import { CAT } from "./cat.ts";
import { completionOf } from "./completion.ts";
import { DOCTOR } from "./doctor.ts";
import { EXEC } from "./exec.ts";
import type { HostCommand } from "./host-command.ts";
import { KILL } from "./kill.ts";
import { LOGS } from "./logs.ts";
import { LS } from "./ls.ts";
import { PS } from "./ps.ts";
import { RM } from "./rm.ts";
import { SHELL } from "./shell.ts";
import { SNAPSHOT_PREPARE, SNAPSHOT_RESTORE, SNAPSHOT_STATUS } from "./snapshot.ts";
import { TOP } from "./top.ts";

/** What `thaw` does on the host of a guest. */
export const HOST_COMMANDS: readonly HostCommand[] = [
  EXEC,
  SHELL,
  ATTACH,
  PS,
  KILL,
  LOGS,
  TOP,
  LS,
  CAT,
  RM,
  SNAPSHOT_PREPARE,
  SNAPSHOT_RESTORE,
  SNAPSHOT_STATUS,
  DOCTOR,
  completionOf(() => HOST_COMMANDS),
];
