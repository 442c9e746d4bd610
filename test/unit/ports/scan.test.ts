import { expect, test } from "vitest";
import { listenersOf } from "../../../src/ports/scan.ts";
import { parseTcpTable } from "../../../src/system/tcp-table.ts";

const listenersIn = (table: string) => listenersOf(parseTcpTable(table));

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1002 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 1003 1 0000000000000000 20 4 30 10 -1
   3: 1500FEA9:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1004 1 0000000000000000 100 0 0 10 0
`;
const TCP6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2001 1 0000000000000000 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:0BB9 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2002 1 0000000000000000 100 0 0 10 0
   2: 00000000000000000000000000000000:0BBA 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2003 1 0000000000000000 100 0 0 10 0
`;

test("only what listens on loopback counts", () => {
  expect(listenersIn(TCP)).toEqual([{ port: 8080, address: "127.0.0.1", inode: 1001 }]);
  expect(listenersIn(TCP6)).toEqual([
    { port: 3000, address: "::1", inode: 2001 },
    { port: 3001, address: "127.0.0.1", inode: 2002 },
  ]);
});

test.for(["", "\n\n", "no table\n", "  0: zz:zz zz 0A\n"])(
  "a table like %j holds nothing",
  (table) => {
    expect(listenersIn(table)).toEqual([]);
  },
);
