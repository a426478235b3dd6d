"""The tarball holds what git has and what autotools made, and nothing else.

`dist_tree.py TARBALL TOP`; ./check runs it after make dist. A file that is only in the tarball is how a back door gets
in unseen (CVE-2024-3094), a file that is only in git is missing for whoever builds from the tarball.
"""

import subprocess
import sys
import tarfile

# What autoreconf adds; both packages make these anew.
MADE = {"aclocal.m4", "configure", "Makefile.in"}


def main():
    tarball, top = sys.argv[1:]
    listed = subprocess.run(["git", "-C", top, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            stdout=subprocess.PIPE, check=False)
    if listed.returncode != 0:
        print("no git checkout here, nothing to compare with")
        sys.exit(77)
    in_git = {name for name in listed.stdout.decode().split("\0") if name}
    with tarfile.open(tarball) as archive:
        members = [m for m in archive.getmembers() if not m.isdir()]
        in_tarball = {m.name.split("/", 1)[1] for m in members}
        foreign = [m.name for m in members if not m.isfile()]
    made = {n for n in in_tarball if n in MADE or n.startswith("build-aux/")}
    for name in sorted(in_git - in_tarball):
        print(f"{name}: in git, not in the tarball")
    for name in sorted(in_tarball - in_git - made):
        print(f"{name}: in the tarball, not in git")
    for name in foreign:
        print(f"{name}: neither file nor folder")
    wrong = (in_git ^ in_tarball) - made
    print(f"{len(in_tarball)} files in the tarball, {len(in_git)} in git, {len(made)} made by autotools")
    sys.exit(1 if wrong or foreign else 0)


main()
