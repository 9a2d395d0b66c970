"""What the checks of this folder count, and how they end."""

import sys

_faults = []
_checked = 0


def expect(holds, what):
    """Counts a check; `what` says what is wrong where it does not hold."""
    global _checked
    _checked += 1
    if not holds:
        _faults.append(what)


def finish(subject):
    """Prints what was found and ends the program, with 1 where something was."""
    for fault in _faults:
        print(f"FAULT {fault}")
    print(f"{subject}: {_checked - len(_faults)} passed, {len(_faults)} failed")
    sys.exit(bool(_faults))
