const HEX_OF_BYTE = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const MIGRATION_ID_BYTES = 16;

/**
 * The 16 bytes of a migration's id (RFC 9562, section 4).
 *
 * @throws {TypeError} when `id` is not a UUID in lower case
 */
export function migrationIdBytes(id: string): Uint8Array {
  if (!UUID.test(id)) throw new TypeError(`A migration id is a lower-case UUID, got ${id}`);
  const hex = id.replaceAll("-", "");
  const bytes = new Uint8Array(MIGRATION_ID_BYTES);
  for (let i = 0; i < MIGRATION_ID_BYTES; i++) bytes[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** The UUID text of the 16 bytes at `offset`. */
export function migrationIdText(bytes: Uint8Array, offset = 0): string {
  let text = "";
  for (let i = 0; i < MIGRATION_ID_BYTES; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += "-";
    text += HEX_OF_BYTE[bytes[offset + i]];
  }
  return text;
}
