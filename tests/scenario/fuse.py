"""A file system of our own (FUSE, spoken by hand): shows a folder, read-only and without any caching, and does with
single requests what a server of a network mount may do: not answer until it is told to, or answer with an error.

What has been read from the kernel and is not answered leaves the caller in an uninterruptible sleep, as a dead NFS
server does: not even SIGKILL ends it. Closing (or the end of this process) frees whoever waits.

Source: linux/fuse.h, protocol 7.31.
"""

import contextlib
import ctypes
import errno
import os
import stat
import struct
import subprocess
import threading

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH = 1, 2, 3, 14, 15, 17, 18, 25
INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS, INTERRUPT, DESTROY, BATCH_FORGET = 26, 27, 28, 29, 34, 36, 38, 42
SILENT = (FORGET, BATCH_FORGET, INTERRUPT)
HEADER, READ_IN = struct.Struct("=IIQQIIII"), struct.Struct("=QQI")
REQUEST_BYTES = 1 << 20
DIRECT_IO = 1


class Request:
    def __init__(self, data):
        (_, self.opcode, self.unique, self.node, _, _, self.pid, _) = HEADER.unpack_from(data)
        self.body = data[HEADER.size:]

    def caller(self):
        """Name of the process that asks."""
        with contextlib.suppress(OSError), open(f"/proc/{self.pid}/comm", encoding="ascii") as comm:
            return comm.read().strip()
        return ""


class Fuse:
    """low, mounted at point as long as this is open."""

    def __init__(self, low, point):
        self.low, self.point = low, point
        low.mkdir(exist_ok=True)
        point.mkdir(exist_ok=True)
        self.lock = threading.Lock()
        self.paths, self.nodes = {1: os.fsencode(low)}, {}
        self.rule, self.held, self.seen = None, [], []
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"test", os.fsencode(point), b"fuse", 6, options.encode()) != 0:  # no setuid, no devices
            raise OSError(ctypes.get_errno(), "mount")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self):
        """Unmounts it; who waits gets an error."""
        if self.fd < 0:
            return
        subprocess.run(["umount", "-f", "-l", str(self.point)], check=False, timeout=20)
        self.thread.join(20)
        os.close(self.fd)
        self.fd = -1

    # --- what the test asks for

    def hold(self, opcode, caller=""):
        """Such requests are not answered until release(); caller: only of this process."""
        self._set(lambda r: "hold" if r.opcode == opcode and caller in ("", r.caller()) else None)

    def fail(self, code, *opcodes):
        """Such requests (all, when none is named) are answered with that error until release()."""
        self._set(lambda r: code if r.opcode in (opcodes or (LOOKUP, GETATTR, OPEN, READ, OPENDIR, READDIR)) else None)

    def release(self):
        with self.lock:
            self.rule, held, self.held = None, self.held, []
            for request in held:
                self._answer(request)

    def _set(self, rule):
        with self.lock:
            self.rule = rule

    # --- requests

    def _serve(self):
        while True:
            try:
                data = os.read(self.fd, REQUEST_BYTES)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                return  # unmounted
            with self.lock:
                self._take(Request(data))

    def _take(self, request):
        what = self.rule(request) if self.rule and request.opcode not in SILENT else None
        if what == "hold":
            self.held.append(request)
        elif what is not None:
            self._reply(request, error=what)
        else:
            self._answer(request)

    def _reply(self, request, body=b"", error=0):
        with contextlib.suppress(OSError):  # whoever asked may be gone
            os.write(self.fd, struct.pack("=IiQ", 16 + len(body), -error, request.unique) + body)

    def _answer(self, request):
        if request.opcode in SILENT:
            return
        act = {INIT: self._init, LOOKUP: self._lookup, GETATTR: self._getattr, OPEN: self._open,
               OPENDIR: self._open, READ: self._read, READDIR: self._readdir, STATFS: self._statfs}
        try:
            if request.opcode in act:
                self._reply(request, act[request.opcode](request))
            else:
                self._reply(request, error=0 if request.opcode in (RELEASE, RELEASEDIR, DESTROY) else errno.ENOSYS)
        except OSError as error:
            self._reply(request, error=error.errno)

    def _init(self, request):
        readahead = struct.unpack_from("=IIII", request.body)[2]
        return struct.pack("=IIIIHHIIHH8I", 7, 31, readahead, 0, 16, 12, 65536, 1, 16, 0, *[0] * 8)

    def _node(self, path):
        if path not in self.nodes:
            self.nodes[path] = len(self.paths) + 1
            self.paths[self.nodes[path]] = path
        return self.nodes[path]

    @staticmethod
    def _attributes(path):
        st = os.lstat(path)
        times = (st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns)
        return struct.pack("=6Q10I", st.st_ino, st.st_size, st.st_blocks, *(t // 10**9 for t in times),
                           *(t % 10**9 for t in times), st.st_mode, st.st_nlink, st.st_uid, st.st_gid, 0, 4096, 0)

    def _lookup(self, request):
        path = os.path.join(self.paths[request.node], request.body.rstrip(b"\0"))
        attributes = self._attributes(path)
        return struct.pack("=QQQQII", self._node(path), 0, 0, 0, 0, 0) + attributes

    def _getattr(self, request):
        return struct.pack("=QII", 0, 0, 0) + self._attributes(self.paths[request.node])

    def _open(self, request):
        os.lstat(self.paths[request.node])
        return struct.pack("=QII", 0, DIRECT_IO if request.opcode == OPEN else 0, 0)

    def _read(self, request):
        _, offset, size = READ_IN.unpack_from(request.body)
        with open(self.paths[request.node], "rb") as file:
            file.seek(offset)
            return file.read(size)

    def _readdir(self, request):
        _, offset, size = READ_IN.unpack_from(request.body)
        out = b""
        with os.scandir(self.paths[request.node]) as entries:
            for number, entry in enumerate(sorted(entries, key=lambda e: e.name)):
                kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode) >> 12
                one = struct.pack("=QQII", entry.inode(), number + 1, len(entry.name), kind) + entry.name
                one += bytes(-len(one) % 8)
                if number < offset:
                    continue
                if len(out) + len(one) > size:
                    break
                out += one
        return out

    @staticmethod
    def _statfs(request):
        del request
        return struct.pack("=5Q4I6I", *[1000] * 5, 4096, 255, 4096, 0, *[0] * 6)
