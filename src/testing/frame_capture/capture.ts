import type { NetworkNamespace } from "../netns.ts";
import type { CapturedFrame } from "./announced.ts";

const PROCESS = `${import.meta.dirname}/capture_process.ts`;

/** A running capture; disposing it ends it. */
export interface FrameCapture extends AsyncDisposable {
  /** Stops and returns what was announced, in order. */
  finish(): Promise<CapturedFrame[]>;
}

/** Captures announcements that devices of a namespace receive, from when this resolves. Needs root. */
export async function startFrameCapture(namespace: NetworkNamespace): Promise<FrameCapture> {
  const [command, ...args] = namespace.argv(
    ...[Deno.execPath(), "run", "--no-config", "--no-check", "--allow-ffi", PROCESS],
  );
  const child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped" }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  if ((await reader.read()).done) throw new Error("The capture did not start");
  const finish = async () => {
    await child.stdin.close();
    let text = "";
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
    await child.status;
    return JSON.parse(text) as CapturedFrame[];
  };
  let finished: Promise<CapturedFrame[]> | null = null;
  return {
    finish: () => finished ??= finish(),
    async [Symbol.asyncDispose]() {
      await (finished ??= finish()).catch(() => {});
    },
  };
}
