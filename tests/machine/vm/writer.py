"""In the guest: writes files until the power is cut. What the console shows as written is on the disk. Boot 0 writes
none: it names what is there.

    writer.py FOLDER BOOT
"""

import os
import sys

folder, boot = sys.argv[1], int(sys.argv[2])


def say(text):
    print(text, flush=True)


def written(name):
    fd = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, f"name,value\n{name},1\n".encode())
    os.fsync(fd)
    os.close(fd)
    directory = os.open(folder, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


if boot == 0:
    for name in sorted(os.listdir(folder)):
        say(f"there: {name} {os.stat(os.path.join(folder, name)).st_size}")
    say("there: all")
number = 0
while boot > 0:
    number += 1
    name = f"b{boot:02}-{number:05}.csv"
    written(name)
    say(f"written: {name}")
