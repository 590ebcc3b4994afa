import {
  addBridge,
  addTap,
  connect,
  createNamespace,
  type NetworkNamespace,
  plug,
} from "./netns.ts";

export const CLIENT_ADDRESS = "10.79.0.1";
export const MACHINE_ADDRESS = "10.79.0.2";
export const PREFIX_LENGTH = 24;
/** The same name at both sites, as the machine's command line names it. */
export const TAP = "tap0";
const BRIDGE = "br0";

/** Three namespaces on one Ethernet segment; disposing removes them. */
export interface StretchedLan extends AsyncDisposable {
  readonly client: NetworkNamespace;
  readonly sites: { readonly a: NetworkNamespace; readonly b: NetworkNamespace };
}

/**
 * A client, and two sites with a bridge and a TAP device each, on one Ethernet segment without
 * delay: the machine keeps its address when it moves, and the bridges learn its new place from what
 * it announces. What a client misses is then the move itself and no path.
 */
export async function createStretchedLan(): Promise<StretchedLan> {
  await using made = new AsyncDisposableStack();
  const [client, a, b] = [
    made.use(await createNamespace("client")),
    made.use(await createNamespace("site-a")),
    made.use(await createNamespace("site-b")),
  ];
  await layLan(client, { a, b });
  const owned = made.move();
  return { client, sites: { a, b }, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The same segment over namespaces that are there. */
export async function layLan(
  client: NetworkNamespace,
  { a, b }: StretchedLan["sites"],
): Promise<void> {
  for (const namespace of [a, b]) {
    await addBridge({ namespace, name: BRIDGE });
    await addTap({ namespace, name: TAP }, BRIDGE);
  }
  const addresses = [`${CLIENT_ADDRESS}/${PREFIX_LENGTH}`];
  await connect({ namespace: client, name: "eth0", addresses }, { namespace: a, name: "client" });
  await plug(a, "client", BRIDGE);
  await connect({ namespace: a, name: "trunk" }, { namespace: b, name: "trunk" });
  for (const namespace of [a, b]) await plug(namespace, "trunk", BRIDGE);
}
