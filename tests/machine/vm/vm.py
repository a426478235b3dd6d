"""A guest under qemu's emulation, and what its console says."""

import os
import re
import select
import subprocess
import time
from pathlib import Path

GUEST = Path(os.environ["BW_GUEST"])
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc|\r")


class Vm:
    """Started at once. drive: a further disk, which keeps what is written; else nothing is kept. network: the guest
    reaches this host's loopback as 10.0.2.2."""

    def __init__(self, what, *, drive=None, network=False, **arguments):
        words = " ".join(f"bw.{key}={value}" for key, value in {"what": what, **arguments}.items())
        command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024",
                   "-smp", "2", "-nographic", "-no-reboot",
                   *(["-netdev", "user,id=n0", "-device", "virtio-net,netdev=n0"] if network else ["-nic", "none"]),
                   "-kernel", GUEST / "vmlinuz", "-initrd", GUEST / "initrd",
                   "-append", f"root=/dev/vda rw console=ttyS0 quiet init=/guest-init {words}",
                   "-drive", f"file={GUEST}/root.img,if=virtio,format=raw,snapshot=on",
                   "-drive", f"file={GUEST}/payload.img,if=virtio,format=raw,readonly=on"]
        if drive:
            command += ["-drive", f"file={drive},if=virtio,format=raw"]
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.said, self.rest = [], ""

    def lines(self, timeout):
        """What it says within that time, as soon as there is something; none: it has ended, or was silent."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                piece = self.process.stdout.read()
                if not piece:
                    return []
                text = self.rest + CONTROL.sub("", piece.decode("utf-8", "replace"))
                *whole, self.rest = text.split("\n")
                if whole:
                    self.said += whole
                    return whole
        return []

    def until(self, predicate, what, timeout):
        """Reads its lines until predicate(line); fails when it ends or takes too long."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for line in self.lines(min(60, max(0, end - time.monotonic()))):
                if predicate(line):
                    return line
            if self.process.poll() is not None:
                break
        raise AssertionError(f"not seen: {what}; the guest said at last:\n" + "\n".join(self.said[-60:]))

    def cut(self):
        """The power."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
