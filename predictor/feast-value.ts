/** Reads `feast.types.Value`, the protobuf in the column `value` of Feast's online tables. */

/** Lists, maps, sets and bytes are not scalars; a numeric graph has no use for them and the reader refuses them. */
export type FeastScalar = number | string | boolean | null;

/** Field numbers of the oneof `val` in feast/types/Value.proto. */
const FIELD = {
  string: 2,
  int32: 3,
  int64: 4,
  double: 5,
  float: 6,
  bool: 7,
  unixTimestamp: 8,
  null: 19,
} as const;

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

interface Cursor {
  readonly bytes: Buffer;
  readonly end: number;
  at: number;
}

function readVarint(cursor: Cursor): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    if (cursor.at >= cursor.end) throw new RangeError('value ends inside a varint');
    const byte = cursor.bytes.readUInt8(cursor.at++);
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw new RangeError('varint is longer than 10 bytes');
}

function take(cursor: Cursor, length: number): number {
  const start = cursor.at;
  if (start + length > cursor.end)
    throw new RangeError(`value ends ${start + length - cursor.end} bytes early`);
  cursor.at += length;
  return start;
}

/** Payload of one field; for `bytes` fields only strings are decoded. */
function readField(cursor: Cursor, field: number, wire: number): FeastScalar {
  if (wire === WIRE.varint) {
    const raw = readVarint(cursor);
    if (field === FIELD.null) return null;
    if (field === FIELD.bool) return raw !== 0n;
    if (field === FIELD.int32 || field === FIELD.int64 || field === FIELD.unixTimestamp) {
      return Number(BigInt.asIntN(64, raw));
    }
  } else if (wire === WIRE.fixed64 && field === FIELD.double) {
    return cursor.bytes.readDoubleLE(take(cursor, 8));
  } else if (wire === WIRE.fixed32 && field === FIELD.float) {
    return cursor.bytes.readFloatLE(take(cursor, 4));
  } else if (wire === WIRE.bytes && field === FIELD.string) {
    const length = Number(readVarint(cursor));
    const start = take(cursor, length);
    return cursor.bytes.toString('utf8', start, start + length);
  }
  throw new TypeError(`field ${field} with wire type ${wire} is not a scalar value of feast.types.Value`);
}

/**
 * Decodes one value; integers beyond 2^53 become the nearest double. No field set is null, as in Feast.
 * @throws TypeError on a list, map, set or bytes value; RangeError when the bytes end early.
 */
export function decodeFeastValue(bytes: Buffer, start = 0, end = bytes.length): FeastScalar {
  const cursor: Cursor = { bytes, end, at: start };
  let value: FeastScalar = null;
  while (cursor.at < end) {
    const tag = Number(readVarint(cursor));
    value = readField(cursor, tag >>> 3, tag & 7);
  }
  return value;
}
