"""A mount that keeps its writers to itself: bindfs (FUSE) over a folder. Who writes into the folder is seen on the
mount like another host's writing on a network mount: without any event, and late where the kernel caches.
"""

import contextlib
import os
import subprocess

from harness import wait_for

CACHES = "attr_timeout=6,entry_timeout=6,negative_timeout=6"  # seconds that the kernel believes what it was told


class Bindfs:
    """low, mounted at point as long as this is open."""

    def __init__(self, low, point, options=CACHES):
        self.low, self.point = low, point
        low.mkdir(exist_ok=True)
        point.mkdir(exist_ok=True)
        self.process = subprocess.Popen(["bindfs", "-f", "-o", f"allow_other,{options}", str(low), str(point)],
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        wait_for(lambda: os.path.ismount(point), "the mount")

    def close(self):
        subprocess.run(["umount", "-l", str(self.point)], check=False, timeout=20)
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def can_mount():
    return os.geteuid() == 0 and os.path.exists("/dev/fuse")
