import assert from "node:assert/strict";
import { userDirectory } from "./working_directory.ts";

Deno.test("userDirectory() is the user's own when a task runs in the project's folder", () => {
  assert.equal(userDirectory("/opt/causeway", "/opt/causeway/", "/etc/site"), "/etc/site");
  assert.equal(userDirectory("/opt/causeway", "/opt/causeway", undefined), "/opt/causeway");
});

Deno.test("userDirectory() leaves a process elsewhere where it is", () => {
  assert.equal(userDirectory("/srv", "/opt/causeway", "/etc/site"), "/srv");
});
