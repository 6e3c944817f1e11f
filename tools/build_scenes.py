"""Write scenes.json: scenes of the training world, slot by slot, from which short prompts are filled in.

    python tools/build_scenes.py DATA haneul/weights/scenes.json

DATA is a folder of rendered clips (haneul world render). Taken are clips of the style photo, with a camera that stands
still wherever the event has such clips.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

from haneul.data.shards import read_meta, shard_paths
from haneul.world.concepts import SLOTS, concepts_of
from haneul.world.scene import Facts

EACH = 120  #: scenes of an event, at most
EVERYTHING = frozenset({*SLOTS, "works"})


def main(data: Path, target: Path) -> None:
    still, moving = defaultdict(list), defaultdict(list)
    for path in shard_paths(data):
        for meta in read_meta(path):
            facts = next(iter(meta["facts"].values()))  # of the whole clip
            seen = Facts.from_json(facts)
            if seen.style != "photo":
                continue
            found = concepts_of(seen, EVERYTHING)
            row = [list(values).index(found[name]) + 1 if name in found else 0 for name, values in SLOTS.items()]
            (still if seen.camera == "static" else moving)[seen.event].append(" ".join(map(str, row)))
    rows = []
    for event in sorted({*still, *moving}):
        few = still[event] if len(still[event]) >= EACH // 4 else still[event] + moving[event]
        rows += list(dict.fromkeys(few))[:EACH]
    table = {"slots": {name: list(values) for name, values in SLOTS.items()}, "rows": rows}
    target.write_text(json.dumps(table, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    print(f"{target}: {len(rows)} scenes of {len({*still, *moving})} events")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
