"""The loopback camera of the tests, with faults, in a separate process. Run by `benchmarks/endurance.py`.

`faulty_camera.py FAULT ...` prints its address in a line of JSON. Each connection gets the next fault after its first
pictures. The camera answers `die`, `come back` and `faults` with the number of faults so far.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import cast

PER_SECOND = 100.0


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.runtime.sources.loopback_camera import Fault, LoopbackCamera

    faults = cast("list[Fault]", sys.argv[1:])
    # A connection that survives a fault is closed, so that every fault costs a reconnection.
    with LoopbackCamera(per_second=PER_SECOND, faults=faults, closes_after_fault=True) as camera:
        print(json.dumps({"address": camera.address}), flush=True)
        for line in sys.stdin:
            if line.strip() == "die":
                camera.die()
            elif line.strip() == "come back":
                camera.come_back()
            print(json.dumps({"faults": camera.faults_done}), flush=True)


if __name__ == "__main__":
    main()
