"""Runs test_nfs.py in the guest, shows what pytest says there, and ends as it does."""

import re
import sys
import time

from vm import Vm

LIMIT_S = 2400


def main(options):
    words = "+".join(o.replace(" ", "+") for o in options)
    vm = Vm("nfs", **({"options": words} if words else {}))
    began, shown = time.monotonic(), False
    try:
        while time.monotonic() - began < LIMIT_S:
            lines = vm.lines(LIMIT_S - (time.monotonic() - began))
            for line in lines:
                shown |= "guest: nfs begins" in line
                if shown:
                    print(line, flush=True)
                ended = re.search(r"guest: nfs ends with (\d+)", line)
                if ended:
                    print(f"({time.monotonic() - began:.0f} s)")
                    return int(ended[1])
            if not lines and vm.process.poll() is not None:
                break
    finally:
        vm.cut()
    print("\n".join(vm.said[-40:]) + "\nthe guest has not ended as it should")
    return 1


sys.exit(main(sys.argv[1:]))
