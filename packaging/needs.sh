# shellcheck shell=sh
# needs: installs the Debian packages that building, testing, showing or measuring brickwatch takes.
# Sourced by ./check, ./demo, bench/run and packaging/build-*; nothing here runs before `needs_install SET…` is called.
#
# Sets: build (compile and install), test (everything ./check uses but for its machine), demo (what ./demo shows),
# bench (what bench/run measures), qemu (what tests/machine/qemu takes), deb and rpm (build the packages, besides
# build), machine (tests/machine/nspawn, besides all three).
# With nothing missing it costs one dpkg-query and prints nothing.

needs_packages() { # SET: its packages, one a line
	case $1 in
	build)
		printf '%s\n' autoconf automake make gcc libc6-dev pkg-config xz-utils \
			libcurl4-openssl-dev libcjson-dev libinih-dev libseccomp-dev libsqlite3-dev libssl-dev zlib1g-dev \
			libmagic-dev libmagic1 libmagic-mgc
		;;
	test)
		# clang-14 and its tools by number: what a formatter or linter finds depends on its version.
		printf '%s\n' libcmocka-dev ccache clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 cppcheck \
			shellcheck valgrind binutils git mandoc python3 python3-flake8 \
			python3-jsonschema python3-pytest python3-pytest-timeout python3-pytest-xdist
		# TLS and a proxy in front of the stand-in.
		printf '%s\n' nginx squid-openssl
		# A mail server.
		printf '%s\n' exim4-daemon-light
		# systemd-analyze reads what check --print-dropin prints.
		printf '%s\n' systemd
		# Who follows the event log, and what doc/event-storage.md works on it with.
		printf '%s\n' jq rclone rsyslog sqlite3
		# The shells that complete command lines.
		printf '%s\n' bash zsh
		# What the scenarios upload and pack files with.
		printf '%s\n' aria2 bindfs curl file lftp openssh-client openssh-sftp-server openssl pigz rsync unzip wget zip zstd
		;;
	demo)
		printf '%s\n' python3 file
		;;
	qemu)
		# What tests/machine/qemu makes its guest with, and boots it.
		printf '%s\n' e2fsprogs mmdebstrap python3 qemu-system-x86 sqlite3
		;;
	deb)
		printf '%s\n' debhelper dpkg-dev fakeroot libcmocka-dev python3
		;;
	rpm)
		printf '%s\n' debugedit dpkg-dev dwz elfutils libcmocka-dev python3 rpm
		;;
	machine)
		printf '%s\n' autopkgtest blhc cpio lintian mmdebstrap mount procps python3 python3-pytest python3-pytest-timeout \
			rpm2cpio rpmlint systemd systemd-container util-linux
		;;
	bench)
		# What brickwatch is measured against, and what they need.
		printf '%s\n' curl findutils inotify-tools python3 python3-requests python3-watchdog
		;;
	*)
		echo "needs: no set called $1" >&2
		return 2
		;;
	esac
}

needs_missing() { # SET…: the packages that are not installed, on one line
	needs_all=
	for needs_set in "$@"; do
		needs_all="$needs_all $(needs_packages "$needs_set")" || return 2
	done
	# shellcheck disable=SC2086 # reason: a list of words
	needs_have=" $(dpkg-query -W -f='${Package}=${db:Status-Status} ' $needs_all 2>/dev/null) "
	needs_left=
	for needs_one in $needs_all; do
		case "$needs_have$needs_left " in
		*" $needs_one=installed "*) ;;
		*" $needs_one "*) ;;
		*) needs_left="$needs_left $needs_one" ;;
		esac
	done
	echo "${needs_left# }"
}

needs_install() { # SET…: 0 when everything is there (or this is no Debian: then configure says what is missing)
	if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
		echo "needs: no apt-get here; see README.md for the libraries to install" >&2
		return 0
	fi
	needs_want=$(needs_missing "$@") || return 2
	[ -n "$needs_want" ] || return 0
	needs_root=
	if [ "$(id -u)" -ne 0 ]; then
		if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
			needs_root="sudo -n"
		else
			echo "needs: not root and no sudo without a password; please install: $needs_want" >&2
			return 1
		fi
	fi
	echo "needs: apt-get install $needs_want"
	needs_log=$(mktemp) || return 1
	# shellcheck disable=SC2086 # reason: lists of words
	if $needs_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 update >"$needs_log" 2>&1 &&
		$needs_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 \
			install --no-install-recommends $needs_want >"$needs_log" 2>&1 </dev/null; then
		rm -f "$needs_log"
		return 0
	fi
	tail -n 30 "$needs_log" >&2
	rm -f "$needs_log"
	echo "needs: apt-get failed" >&2
	return 1
}
