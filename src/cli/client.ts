import { formatHostPort, type HostPort, parseHostPort } from "../config/address.ts";
import { type Config, loadConfig } from "../config/config.ts";
import { type ErrorCode, GatewayError } from "../core/errors.ts";
import type { MigrationReport } from "../migration/report.ts";
import { readApiAddress } from "./api_address.ts";
import { EventDecoder, type ServerEvent } from "./sse_reader.ts";

/** Talks to the API of the local gateway. Dispose it: it holds connections. */
export class ApiClient implements Disposable {
  readonly #http: Deno.HttpClient;

  constructor(
    private readonly address: HostPort,
    private readonly token: string,
    private readonly configPath: string,
  ) {
    // Straight to the gateway: a proxy of the environment must neither be in the way nor see the
    // token.
    this.#http = Deno.createHttpClient({ proxy: { transport: "tcp", ...address } });
  }

  /**
   * A client for the gateway that a configuration describes.
   *
   * @param tokenFile other than the one that it names
   * @throws {GatewayError} `config_invalid`, `gateway_unreachable` when nobody knows its port
   */
  static async open(configPath: string, tokenFile?: string): Promise<ApiClient> {
    const config = await loadConfig(configPath);
    const token = await readToken(tokenFile ?? config.apiTokenFile);
    return new ApiClient(await apiAddress(config), token, configPath);
  }

  [Symbol.dispose](): void {
    this.#http.close();
  }

  /**
   * One request. The answer is null where the API has none.
   *
   * @throws {GatewayError} `gateway_unreachable`, or what the gateway answered
   */
  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.#fetch(method, path, body);
    const text = await response.text().catch((cause) => {
      throw this.#unreachable(cause);
    });
    if (text === "") return null as T;
    try {
      return JSON.parse(text) as T;
    } catch {
      throw notUnderstood(response);
    }
  }

  get<T>(path: string): Promise<T> {
    return this.request<T>("GET", path);
  }

  post<T>(path: string, body?: unknown): Promise<T> {
    return this.request<T>("POST", path, body);
  }

  /**
   * Events of one migration until the gateway closes the stream or `signal` aborts.
   *
   * @throws {GatewayError} `gateway_unreachable` also when the stream breaks
   */
  async *events(id: string, signal: AbortSignal): AsyncGenerator<ServerEvent> {
    const path = `/v1/migrations/${encodeURIComponent(id)}/events`;
    const response = await this.#fetch("GET", path, undefined, signal);
    if (response.body === null) return;
    const decoder = new EventDecoder();
    try {
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        yield* decoder.push(chunk);
      }
    } catch (cause) {
      if (signal.aborted) return;
      throw this.#unreachable(cause);
    }
  }

  migration(id: string): Promise<MigrationReport> {
    return this.get(`/v1/migrations/${encodeURIComponent(id)}`);
  }

  async #fetch(
    method: string,
    path: string,
    body: unknown,
    signal?: AbortSignal,
  ): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`http://${formatHostPort(this.address)}${path}`, {
        method,
        client: this.#http,
        signal,
        headers: {
          authorization: `Bearer ${this.token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (cause) {
      throw this.#unreachable(cause);
    }
    if (!response.ok) throw await answeredError(response);
    return response;
  }

  #unreachable(cause: unknown): GatewayError {
    return new GatewayError(
      "gateway_unreachable",
      `Cannot reach the gateway at ${formatHostPort(this.address)}`,
      {
        hint: `Start it with \`causeway gateway --config ${this.configPath}\`, ` +
          "or give the --config of another site",
        cause,
      },
    );
  }
}

/** What the gateway said is wrong, as it said it. */
async function answeredError(response: Response): Promise<GatewayError> {
  const body = await response.json().catch(() => null) as
    | { code?: unknown; message?: unknown; hint?: unknown }
    | null;
  if (typeof body?.code === "string" && typeof body.message === "string") {
    const hint = typeof body.hint === "string" ? body.hint : "";
    return new GatewayError(body.code as ErrorCode, body.message, { hint });
  }
  return notUnderstood(response);
}

function notUnderstood(response: Response): GatewayError {
  return new GatewayError(
    "internal",
    `Cannot understand the answer with status ${response.status} from ${response.url}`,
    { hint: "Check that `http` of the configuration is the address of a Causeway gateway" },
  );
}

async function readToken(path: string): Promise<string> {
  try {
    return (await Deno.readTextFile(path)).trim();
  } catch (cause) {
    throw new GatewayError(
      "config_invalid",
      `Cannot read the API token in ${path}: ${cause instanceof Error ? cause.message : cause}`,
      {
        hint: "Run this as the user of the gateway, or name a file with a token by --token-file",
        cause,
      },
    );
  }
}

async function apiAddress(config: Config): Promise<HostPort> {
  const listed = parseHostPort(config.http)!;
  const address = listed.port === 0 ? await readApiAddress(config.stateDirectory) : listed;
  if (address === null) {
    throw new GatewayError(
      "gateway_unreachable",
      `Cannot find the gateway of ${config.site}: its configuration leaves the port to the system`,
      { hint: `Start it with \`causeway gateway --config ${config.path}\`` },
    );
  }
  // "Any address" is where one listens, not where one connects to.
  if (address.hostname === "0.0.0.0") return { ...address, hostname: "127.0.0.1" };
  if (address.hostname === "::") return { ...address, hostname: "::1" };
  return address;
}
