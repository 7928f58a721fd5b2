"""python -m exercises: see --help."""

import sys

from exercises import dev
from exercises.course import tasks

if __name__ == "__main__":
    ids = sys.argv[3:] or list(tasks())
    if sys.argv[1:3] == ["dev", "check"]:
        bad = 0
        for id_ in ids:
            failures, kills, seconds = dev.prove(id_)
            print(id_, f"{seconds:.2f} s", kills)
            print(*failures, sep="\n", end="\n" * bool(failures))
            bad += len(failures)
        sys.exit(bool(bad))
    if sys.argv[1:3] == ["dev", "survivors"]:
        for id_ in ids:
            print(*dev.survivors(id_), sep="\n")
