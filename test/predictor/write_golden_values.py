"""Writes random entity keys and values with the bytes that Feast makes of them, and what they mean."""

from __future__ import annotations

import argparse
import json
import random
import struct
from pathlib import Path

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Null, Value

NULL = Value(null_val=Null.NULL)


def key(entity: dict[str, int | str]) -> EntityKey:
    """Returns the key of an entity, its join keys in the order given."""
    values = [Value(string_val=v) if isinstance(v, str) else Value(int64_val=v) for v in entity.values()]
    return EntityKey(join_keys=list(entity), entity_values=values)


def random_value(rng: random.Random) -> tuple[Value, str]:
    """Returns a value and what it means as text."""
    number = rng.choice(
        [rng.uniform(-1e9, 1e9), 0.0, -0.0, 5e-324, 1.7976931348623157e308, float("nan"), float("-inf")]
    )
    single = struct.unpack("<f", struct.pack("<f", rng.uniform(-1e30, 1e30)))[0]
    small = rng.choice([0, 1, -1, 2**31 - 1, -(2**31), rng.randint(-(2**31), 2**31 - 1)])
    large = rng.choice([0, -1, 2**63 - 1, -(2**63), rng.randint(-(2**63), 2**63 - 1), rng.randint(-300, 300)])
    text = rng.choice(["", "A", "2012-02-10", "größe", "店舗", "🛒" * rng.randint(1, 90)])
    return rng.choice(
        [
            (Value(double_val=number), repr(number)),
            (Value(float_val=single), repr(single)),
            (Value(int32_val=small), str(small)),
            (Value(int64_val=large), str(large)),
            (Value(unix_timestamp_val=large), str(large)),
            (Value(bool_val=large > 0), "true" if large > 0 else "false"),
            (Value(string_val=text), f"text:{text}"),
            (NULL, "null"),
            (Value(), "null"),
        ]
    )


def random_entity(rng: random.Random) -> dict[str, int | str]:
    """Returns an entity with up to four join keys, in random order, some with names outside ASCII."""
    names = rng.sample(["store", "dept", "week", "Z", "été", "😀", "\uffee"], rng.randint(1, 4))
    large = rng.choice([0, 1, -1, 2**63 - 1, -(2**63), rng.randint(-(2**63), 2**63 - 1)])
    return {name: rng.choice([large, rng.randint(-99, 99), "2012-02-10", "", "naïve 🛒"]) for name in names}


def write_golden(path: Path, seed: int, count: int) -> None:
    """Writes random values and entity keys beside the bytes that Feast makes of them."""
    rng = random.Random(seed)
    values = [random_value(rng) for _ in range(count)]
    entities = [random_entity(rng) for _ in range(count)]
    golden = {
        "values": [{"hex": value.SerializeToString().hex(), "means": means} for value, means in values],
        "entityKeys": [
            {
                # Whole numbers as text, since JSON's numbers would lose digits.
                "entity": {k: v if isinstance(v, str) else {"int64": str(v)} for k, v in entity.items()},
                "hex": serialize_entity_key(key(entity), entity_key_serialization_version=3).hex(),
            }
            for entity in entities
        ],
        "list": Value(double_list_val={"val": [1.0, 2.0]}).SerializeToString().hex(),
    }
    path.write_text(json.dumps(golden), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=2_000)
    arguments = parser.parse_args()
    write_golden(arguments.path, arguments.seed, arguments.count)
