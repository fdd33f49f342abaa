"""Command line of the mutation tests: python -m tests.mutation MODULE [TESTS…]."""

import argparse
import sys
from collections import Counter

from tests.mutation.runner import KILLED, TIMED_OUT, Target, run


def main() -> int:
    """Prints each mutant that lives, and the score; returns 1 if there are any."""
    parser = argparse.ArgumentParser(prog="bin/mutate", description=__doc__)
    parser.add_argument("module", help="such as listener.messages.payload")
    parser.add_argument("tests", nargs="*", default=["tests/unit"], help="files of tests, folders")
    parser.add_argument("--line", type=int, action="append", help="only the mutants of this line")
    arguments = parser.parse_args()
    target = Target(arguments.module, arguments.tests)
    wanted = [it for it in target.mutants() if it.line in (arguments.line or [it.line])]
    counts: Counter[str] = Counter()
    for mutant, result in run(target, wanted):
        counts[result] += 1
        if result != KILLED:
            print(f"{result:10} {target.path.name}:{mutant}", flush=True)  # noqa: T201
    print(f"{target.module}: {counts.total()} mutants, {dict(counts)}")  # noqa: T201
    return int(counts.total() > counts[KILLED] + counts[TIMED_OUT])


if __name__ == "__main__":
    sys.exit(main())
