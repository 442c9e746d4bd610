import * as built from "thaw";
import { expect, test } from "vitest";
import * as api from "../src/client/index.ts";

test("programs on the host are given exactly these names", () => {
  expect(Object.keys(api).toSorted()).toEqual([
    "Guest",
    "GuestError",
    "Interrupted",
    "withSnapshot",
  ]);
});

test("the package gives the same", () => {
  expect(Object.keys(built).toSorted()).toEqual(Object.keys(api).toSorted());
});
