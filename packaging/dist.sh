# shellcheck shell=bash
# dist: what packaging/build-deb and packaging/build-rpm share. Sourced; the caller has set top.
# shellcheck disable=SC2154 # reason: top is the caller's

packages=$top/build/packages
export LC_ALL=C.UTF-8
unset MAKEFLAGS CFLAGS CPPFLAGS CXXFLAGS LDFLAGS DESTDIR

complain() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# logged NAME COMMAND…: output goes to a log in build/packages; the end of it is shown if the command fails.
logged() {
	local log=$packages/$1.log
	shift
	"$@" >"$log" 2>&1 </dev/null 9>&- && return 0
	tail -n 40 "$log" >&2
	complain "failed: $* (all of it: $log)"
}

# Only one at a time builds in here; it waits for the one before. The lock ends with this process, not with those it has left.
take_packages() {
	mkdir -p "$packages"
	exec 9>"$packages/.lock"
	flock -n 9 && return 0
	printf '%s: waiting for another build in %s\n' "${0##*/}" "$packages" >&2
	flock 9
}

upstream_version() { sed -n 's/^AC_INIT(\[brickwatch\], \[\(.*\)\])$/\1/p' "$top/configure.ac"; }

# The date of the newest entry of the Debian changelog: what is built now and what is built next year is the same.
packaging_epoch() { date -u +%s -d "$(sed -n 's/^ -- .*>  //p' "$top/packaging/debian/changelog" | head -n 1)"; }

# All three say the same version, or nothing is built.
agree_on_version() {
	local want deb rpm
	want=$(upstream_version)
	deb=$(sed -n '1s/^brickwatch (\(.*\)-[^-]*) .*/\1/p' "$top/packaging/debian/changelog")
	rpm=$(sed -n 's/^Version: *//p' "$top/packaging/rpm/brickwatch.spec")
	if [ -z "$want" ] || [ "$deb" != "$want" ] || [ "$rpm" != "$want" ]; then
		complain "configure.ac says version $want, debian/changelog $deb, brickwatch.spec $rpm"
	fi
}

# dist_tarball: makes build/packages/brickwatch-VERSION.tar.xz of the tree as it is, and sets tarball; unless that is set.
dist_tarball() {
	local version
	agree_on_version
	version=$(upstream_version)
	SOURCE_DATE_EPOCH=$(packaging_epoch)
	export SOURCE_DATE_EPOCH
	[ -z "$tarball" ] || return 0
	mkdir -p "$packages/dist"
	if [ -e "$top/config.status" ]; then
		complain "there is a build in the source folder; run make distclean"
	fi
	if [ -n "$(find "$top/configure" "$top/Makefile.in" -newer "$top/configure.ac" -newer "$top/Makefile.am" 2>/dev/null | sed -n 2p)" ]; then
		:
	else
		(cd "$top" && logged autoreconf autoreconf -fi) || exit 1
	fi
	tarball=$packages/brickwatch-$version.tar.xz
	(cd "$packages/dist" && logged dist-configure "$top/configure" -q && logged dist make -s dist) || exit 1
	mv "$packages/dist/brickwatch-$version.tar.xz" "$tarball"
}
