import { ATTACH } from "./attach.ts";
import { CAT } from "./cat.ts";
import { completionOf } from "./completion.ts";
import { CP } from "./cp.ts";
import { DOCTOR } from "./doctor.ts";
import { EXEC } from "./exec.ts";
import { FORWARD } from "./forward.ts";
import type { HostCommand } from "./host-command.ts";
import { KILL } from "./kill.ts";
import { LOGS } from "./logs.ts";
import { LS } from "./ls.ts";
import { MKDIR } from "./mkdir.ts";
import { MV } from "./mv.ts";
import { PORTS } from "./ports.ts";
import { PS } from "./ps.ts";
import { RM } from "./rm.ts";
import { SHELL } from "./shell.ts";
import { SNAPSHOT_PREPARE, SNAPSHOT_RESTORE, SNAPSHOT_STATUS } from "./snapshot.ts";
import { SYNC } from "./sync.ts";
import { TOP } from "./top.ts";
import { WATCH } from "./watch.ts";

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
  MKDIR,
  MV,
  WATCH,
  CP,
  SYNC,
  PORTS,
  FORWARD,
  SNAPSHOT_PREPARE,
  SNAPSHOT_RESTORE,
  SNAPSHOT_STATUS,
  DOCTOR,
  completionOf(() => HOST_COMMANDS),
];
