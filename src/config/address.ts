/** Where something listens or is reached. */
export interface HostPort {
  readonly hostname: string;
  readonly port: number;
}

/**
 * Reads `HOST:PORT` or `[IPV6]:PORT`; null when the text is neither. Port 0 is allowed, it means
 * "any free one" where something listens.
 */
export function parseHostPort(text: string): HostPort | null {
  const match = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):(\d{1,5})$/.exec(text);
  if (!match) return null;
  const port = Number(match[3]);
  return port > 65_535 ? null : { hostname: match[1] ?? match[2], port };
}

/** The text that `parseHostPort` reads. */
export function formatHostPort({ hostname, port }: HostPort): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
