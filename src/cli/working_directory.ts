import { resolve } from "node:path";

/**
 * Where the user is: relative paths in arguments are meant from there. `deno task` runs every task
 * in the project's own folder and leaves the user's in `INIT_CWD`; anywhere else that variable is
 * somebody else's and means nothing here.
 *
 * @param cwd folder of this process
 * @param project the project's folder
 * @param initCwd the variable, where it is set
 */
export function userDirectory(cwd: string, project: string, initCwd: string | undefined): string {
  return initCwd !== undefined && resolve(cwd) === resolve(project) ? initCwd : cwd;
}
