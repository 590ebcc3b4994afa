/** What a site remembers of its peers' link keys, by the fingerprint of their certificates. */
export interface KnownKeys {
  /** The highest generation that the peer has proved; 0 for none. */
  keyGeneration(fingerprint: string): number;
  /** The peer has proved this one. Never throws: a proof is good whether it can be noted or not. */
  keySeen(fingerprint: string, generation: number): void;
}

/** Remembers for as long as the process lives. */
export function keysInMemory(): KnownKeys {
  const known = new Map<string, number>();
  const keyGeneration = (fingerprint: string) => known.get(fingerprint) ?? 0;
  return {
    keyGeneration,
    keySeen(fingerprint, generation) {
      if (generation > keyGeneration(fingerprint)) known.set(fingerprint, generation);
    },
  };
}
