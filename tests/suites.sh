#!/bin/sh
# The pytest suites as one test of `make check`. ./check runs them one by one and counts their tests.
# BRICKWATCH (the built program) and BW_TOP come from the Makefile.

case " ${BW_SKIP-} " in
*" suites "*) echo "BW_SKIP names suites"; exit 77 ;;
esac
python=${PYTHON:-python3}
"$python" -m pytest --version >/dev/null 2>&1 || { echo "no pytest here"; exit 77; }

top=${BW_TOP:-$(dirname "$0")/..}
cd "$top" || exit 99
set --
for suite in tests/jobsapi tests/lint tests/scenario tests/faults; do
	[ -n "$(find "$suite" -name 'test_*.py' 2>/dev/null)" ] && set -- "$@" "$suite"
done
[ $# -gt 0 ] || { echo "no suites here"; exit 77; }
failed=0
for suite; do
	"$python" -B -m pytest -q -p no:cacheprovider "$suite" || failed=1
done
exit $failed
