/**
 * Feast's entity key, serialization version 3 (feast.infra.key_encoding_utils.serialize_entity_key).
 *
 * Little-endian: u32 number of keys; per join key, sorted by name: u32 2 (STRING), u32 length, UTF-8 bytes; then per
 * value in that order: u32 value type, u32 length, bytes.
 */
const STRING = 2;
const INT64 = 4;

/** A whole number is an INT64 entity, a text a STRING entity: the only two kinds in contracts/model.ts's views. */
export type EntityValue = number | bigint | string;

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function encodeValue(value: EntityValue): Buffer[] {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value, 'utf8');
    return [u32(STRING), u32(bytes.length), bytes];
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return [u32(INT64), u32(8), bytes];
}

/**
 * Bytes of `entity_key` for one entity, by join key.
 * @throws RangeError when a number is not whole or does not fit in 64 bits.
 */
export function encodeEntityKey(entity: Readonly<Record<string, EntityValue>>): Buffer {
  const joinKeys = Object.entries(entity)
    .map(([name, value]) => ({ name: Buffer.from(name, 'utf8'), value }))
    .sort((a, b) => Buffer.compare(a.name, b.name));
  return Buffer.concat([
    u32(joinKeys.length),
    ...joinKeys.flatMap(({ name }) => [u32(STRING), u32(name.length), name]),
    ...joinKeys.flatMap(({ value }) => encodeValue(value)),
  ]);
}
