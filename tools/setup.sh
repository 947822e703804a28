#!/bin/sh
# Makes a bare Debian 12 ready: packages that are missing, a virtual environment, the package in it.
# Quick when all is there. Two at once wait for each other.
set -eu
cd "$(dirname "$0")/.."

exec 9>/tmp/pointsman-setup.lock
flock 9

need="clang-19 libbpf-dev libbpf1 bpftool nginx-light haproxy wrk ethtool tcpdump curl iproute2 procps"
need="$need libc6-dev python3-venv make"

missing=""
for package in $need; do
	state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
	[ "$state" = "ii " ] || missing="$missing $package"
done

if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "pointsman: missing packages:$missing; run as root, or apt-get install them" >&2
		exit 2
	fi
	# nginx and HAProxy start themselves when installed; here they run in labs only.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086
	apt-get install -qq -y --no-install-recommends $missing >/tmp/pointsman-apt.log 2>&1 ||
		{ apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing; } \
			>/tmp/pointsman-apt.log 2>&1 ||
		{ tail -5 /tmp/pointsman-apt.log >&2; exit 1; }
fi

stamp=.venv/stamp-$(cat pyproject.toml hatch_build.py | sha256sum | cut -c1-16)
if [ ! -e "$stamp" ]; then
	python=""
	for candidate in python3 python3.13 python3.12 python3.11; do
		if "$candidate" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
			python=$candidate
			break
		fi
	done
	[ -n "$python" ] || { echo "pointsman: no Python 3.11 or newer; apt install python3 python3-venv" >&2; exit 2; }
	"$python" -m venv .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check -e '.[test]'
	rm -f .venv/stamp-*
	touch "$stamp"
fi
