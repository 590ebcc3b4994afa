/** One run of `deno test`: a group of folders that can run in the same way. */
export interface Part {
  readonly name: string;
  /** Folders or files, relative to the repository. */
  readonly paths: readonly string[];
  /** Several files at once. Only what shares no machine-wide thing and measures no time. */
  readonly parallel: boolean;
  /** Examples in docstrings run as tests too. */
  readonly docExamples: boolean;
  readonly permissions: readonly string[];
  /** After this the part is ended and counts as failed: a hanging test must not hang the run. */
  readonly timeLimitMs: number;
}

/**
 * Run at the same time: both mostly wait, for links, outages and machines to boot, and neither uses
 * half of two cores.
 */
const SIDE_BY_SIDE = ["interop", "e2e"];
const PARALLEL_FOLDERS = ["golden", "runner", "sim", "structure"];
const MINUTE_MS = 60_000;
const UNIT_PERMISSIONS = [
  ...["--allow-read", "--allow-write", "--allow-net", "--allow-env", "--allow-run"],
  // Native memory and system calls; figures about the machine.
  ...["--allow-ffi", "--allow-sys"],
];

/**
 * Groups the folders below tests/: what is pure runs with the unit tests, everything else serially
 * in folders of its own, end-to-end tests last.
 */
export function planParts(testFolders: readonly string[]): Part[] {
  const parallel = testFolders.filter((folder) => PARALLEL_FOLDERS.includes(folder));
  const serial = testFolders.filter((folder) => !parallel.includes(folder))
    .sort((left, right) => Number(left === "e2e") - Number(right === "e2e"));
  return [
    {
      name: "unit",
      paths: ["src", ...parallel.map((folder) => `tests/${folder}`)],
      parallel: true,
      docExamples: true,
      permissions: UNIT_PERMISSIONS,
      timeLimitMs: 6 * MINUTE_MS,
    },
    ...serial.map((folder) => ({
      name: folder,
      paths: [`tests/${folder}`],
      parallel: false,
      docExamples: false,
      // Files of /proc/PID, which these measure processes by, need every permission in Deno.
      permissions: ["--allow-all"],
      timeLimitMs: 15 * MINUTE_MS,
    })),
  ];
}

/** The parts in the order in which they run; those of one group run at the same time. */
export function groupParts(parts: readonly Part[]): Part[][] {
  const isBeside = ({ name }: Part) => SIDE_BY_SIDE.includes(name);
  const alone = parts.filter((part) => !isBeside(part)).map((part) => [part]);
  const beside = parts.filter(isBeside);
  return beside.length === 0 ? alone : [...alone, beside];
}

/** Leaves only the files that match the glob; parts that have none go. */
export function onlyMatching(
  parts: readonly Part[],
  testFiles: readonly string[],
  glob: string,
): Part[] {
  const pattern = globPattern(glob);
  const matching = testFiles.filter((file) => pattern.test(file));
  return parts.flatMap((part) => {
    const paths = matching.filter((file) => part.paths.some((path) => file.startsWith(`${path}/`)));
    return paths.length === 0 ? [] : [{ ...part, paths, docExamples: false }];
  });
}

/** `*` stays within a name, `**` crosses folders; a plain word matches anywhere in the path. */
export function globPattern(glob: string): RegExp {
  if (!glob.includes("*")) return new RegExp(RegExp.escape(glob));
  const text = glob.split(/(\*\*\/?|\*)/).map((piece) =>
    piece === "*" ? "[^/]*" : piece.startsWith("**") ? "(?:.*)" : RegExp.escape(piece)
  );
  return new RegExp(`^${text.join("")}$`);
}

/** The arguments of `deno` for a part, with no more rights than its tests use. */
export function denoTestArgs(
  part: Part,
  { filter, reportPath }: { filter?: string; reportPath: string },
): string[] {
  return [
    "test",
    // `deno task ok` checks types; here it would cost its time a second time.
    "--no-check",
    ...part.permissions,
    "--permit-no-files",
    ...(part.parallel ? ["--parallel"] : []),
    ...(part.docExamples ? ["--doc"] : []),
    ...(filter === undefined ? [] : [`--filter=${filter}`]),
    `--junit-path=${reportPath}`,
    ...part.paths,
  ];
}
