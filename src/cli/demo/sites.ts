import { initSite } from "../../config/init.ts";
import { trustPeer } from "../../config/trust.ts";

/** A site of the demo: its directory and configuration. */
export interface DemoSite {
  readonly name: string;
  readonly directory: string;
  readonly configPath: string;
  readonly certificatePath: string;
}

/** Makes a site that takes any free ports of the loopback. */
export async function makeSite(name: string, parent: string): Promise<DemoSite> {
  const directory = `${parent}/${name}`;
  const { configPath, certificatePath } = await initSite({
    site: name,
    dir: directory,
    link: "127.0.0.1:0",
    http: "127.0.0.1:0",
  });
  return { name, directory, configPath, certificatePath };
}

/** `site` trusts `peer`; without an address it waits for the peer to dial. */
export async function trust(site: DemoSite, peer: DemoSite, address?: string): Promise<void> {
  await trustPeer({
    config: site.configPath,
    peer: peer.name,
    certificate: peer.certificatePath,
    address,
  });
}
