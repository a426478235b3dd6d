"""What bash and zsh offer for a command line: the shells themselves are asked, with the installed scripts."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from harness import TIMEOUT, TOP

SCRIPTS = TOP / "packaging" / "completion"
VERBS = ["run", "scan", "check", "status", "files", "release", "retry", "drop", "rerun", "rescan", "pause", "resume",
         "reload", "adopt", "explain", "events", "config"]
STATES = ["waiting", "pending", "started", "rejected", "failed", "held", "skipped", "vanished", "superseded", "dropped",
          "discarded"]

# Prints what `complete -F` makes of the words given, the last one being that under the cursor.
ASK_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
compopt() { [[ $* == "-o default" ]] && echo :files; }
_brickwatch "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def ask_bash(s, *words):
    command = ["bash", "--norc", "-c", ASK_BASH, "bash", SCRIPTS / "brickwatch", s.program, *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          timeout=TIMEOUT)
    assert done.stderr == "", done
    return [line for line in done.stdout.splitlines() if line]


def ask_terminal(command, prepare, line, until):
    """Types a line into an interactive shell; gives the screen's bytes as soon as `until` is on it."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", LC_ALL="C.UTF-8", PS1="READY", HOME="/nonexistent")
        os.execvp(command[0], command)
    screen, end = b"", time.monotonic() + TIMEOUT
    try:
        os.write(fd, f"{prepare}; echo PRE''PARED\n".encode())
        for mark, typed in ((b"PREPARED\r\n", line), (until, None)):
            while mark not in screen and time.monotonic() < end:
                if select.select([fd], [], [], 0.5)[0]:
                    screen += os.read(fd, 65536).replace(b"\a", b"")
            assert mark in screen, screen.decode("utf-8", "replace")
            if typed is not None:
                screen = b""
                os.write(fd, typed.encode())
        return screen.decode("utf-8", "replace")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)


@pytest.fixture(name="two")
def _two(service):
    return service(watches={"orders": {}, "returns": {"job_id": 5}})


# --- bash -------------------------------------------------------------------------------------------------------------

def test_bash_offers_every_verb(two):
    assert ask_bash(two, "") == VERBS
    assert ask_bash(two, "re") == ["release", "retry", "rerun", "rescan", "resume", "reload"]
    assert ask_bash(two, "--") == ["--help", "--version"]
    assert ask_bash(two, "nonsense", "") == []


@pytest.mark.parametrize("verb", VERBS)
def test_bash_offers_the_options_of_a_verb(two, verb):
    told = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", two.verb(verb, "--help", configured=False).out, re.M)
    assert len(told) >= 2 and ask_bash(two, verb, "--") == told


def test_bash_offers_values(two):
    assert ask_bash(two, "files", "--state", "") == STATES
    assert ask_bash(two, "files", "--state", "=", "s") == ["started", "skipped", "superseded"]
    assert ask_bash(two, "files", "--state", "=") == STATES
    types = ask_bash(two, "events", "--type", "")
    assert "run.started" in types and "workspace.suspended" in types and len(types) > 20
    assert ask_bash(two, "events", "--type", "run.s") == ["run.started", "run.skipped"]
    assert ask_bash(two, "events", "--since", "") == []


def test_bash_offers_the_watches_of_the_configuration(two):
    assert ask_bash(two, "pause", "-c", two.ini, "") == ["orders", "returns"]
    assert ask_bash(two, "rescan", "--config", "=", two.ini, "r") == ["returns"]
    assert ask_bash(two, "scan", "-c", two.ini, "--watch", "o") == ["orders"]
    assert ask_bash(two, "pause", "-c", "/nowhere.ini", "o") == []


def test_bash_leaves_names_of_files_to_readline(two):
    for words in (["explain", ""], ["adopt", "/var"], ["events", "x"], ["check", "-c", ""], ["files", "a"]):
        assert ask_bash(two, *words) == [":files"], words
    assert ask_bash(two, "events", "--", "--ty") == []


def test_bash_on_a_terminal(two):
    (two.folder / "a drop").mkdir()
    where, target = f"PATH={os.path.dirname(two.program)}:$PATH; . {SCRIPTS}/brickwatch", f"{two.folder}/a\\ "
    shell = ["bash", "--norc", "--noprofile", "-i"]
    assert "--state superseded" in ask_terminal(shell, where, "brickwatch files --state su\t", b"superseded")
    assert "a\\ drop/" in ask_terminal(shell, where, f"brickwatch explain {target}\t", b"drop/")


# --- zsh --------------------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
@pytest.mark.parametrize("typed, expected", [
    ("sta", b"status"),
    ("files --state su", b"superseded"),
    ("files --state=su", b"--state=superseded"),
    ("events --type workspace.s", b"workspace.suspended"),
    ("pause -c INI ret", b"returns"),
    ("scan --dr", b"--dry-run"),
    ("explain FOLDER/outs", b"outside/"),
])
def test_zsh_on_a_terminal(two, typed, expected):
    line = typed.replace("INI", str(two.ini)).replace("FOLDER", str(two.folder))
    prepare = (f"PATH={os.path.dirname(two.program)}:$PATH; fpath=({SCRIPTS} $fpath); autoload -U compinit; "
               f"compinit -D -u; compdef | grep -q brickwatch || echo 'NOT KNOWN'")
    screen = ask_terminal(["zsh", "-f", "-i"], prepare, f"brickwatch {line}\t", expected)
    assert "NOT KNOWN" not in screen


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_zsh_shows_what_a_verb_does(two):
    prepare = (f"PATH={os.path.dirname(two.program)}:$PATH; fpath=({SCRIPTS} $fpath); autoload -U compinit; "
               f"compinit -D -u")
    screen = ask_terminal(["zsh", "-f", "-i"], prepare, "brickwatch re\t", b"reload")
    assert "Held files go" in screen
