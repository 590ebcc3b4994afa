import { Serving, SiteApi } from "./site_process.ts";

/** Between two starts, so that a gateway that cannot start at all does not become a busy loop. */
const RESTART_MS = 100;
const POLL_MS = 20;

/**
 * A gateway process that is started again at once whenever it ends, as the shipped service file does
 * (`Restart=always`); its machines are not its children to end.
 */
export class SupervisedGateway implements AsyncDisposable {
  #serving: Serving | null = null;
  #stopping = false;
  #failure: unknown = null;
  readonly #supervised: Promise<void>;
  /** Log of processes that have ended. */
  #log = "";

  private constructor(readonly configPath: string, private readonly apiTokenPath: string) {
    this.#supervised = this.#supervise();
  }

  /** Resolves when it serves for the first time. */
  static async start(configPath: string, apiTokenPath: string): Promise<SupervisedGateway> {
    const gateway = new SupervisedGateway(configPath, apiTokenPath);
    await gateway.api();
    return gateway;
  }

  /** The API of the process that serves now, or of the next one. */
  async api(): Promise<SiteApi> {
    return await SiteApi.open(await this.#now(), this.apiTokenPath);
  }

  /** A word of the present process's `ready` line. */
  async ready(key: string): Promise<string> {
    return (await this.#now()).ready(key);
  }

  get log(): string {
    return this.#log + (this.#serving?.stderr ?? "");
  }

  /** Sends a signal to the present process. After SIGKILL the next one is being started. */
  kill(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    const serving = this.#serving;
    if (!serving) throw new Error("The gateway does not run at this moment");
    if (signal === "SIGKILL") this.#serving = null;
    serving.child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    await this.#serving?.[Symbol.asyncDispose]();
    await this.#supervised;
    await (this.#serving as Serving | null)?.[Symbol.asyncDispose]();
  }

  async #now(): Promise<Serving> {
    while (!this.#serving) {
      if (this.#failure !== null) throw this.#failure;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return this.#serving;
  }

  async #supervise(): Promise<void> {
    try {
      while (!this.#stopping) {
        const serving = await Serving.start("gateway", "--config", this.configPath);
        this.#serving = serving;
        await serving.child.status;
        this.#log += serving.stderr;
        if (this.#serving === serving) this.#serving = null;
        await serving[Symbol.asyncDispose]();
        await new Promise((resolve) => setTimeout(resolve, RESTART_MS));
      }
    } catch (error) {
      this.#failure = error;
    }
  }
}
