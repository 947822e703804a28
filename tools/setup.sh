#!/bin/bash
# Makes a bare Debian 12 ready: packages that are missing, a virtual environment, the package in it.
# Quick when all is there. Two at once wait for each other.
set -eu
cd "$(dirname "$0")/.."

compiler=clang-19
compilers="clang-19 clang"
packages="libbpf-dev libbpf1 libc6-dev bpftool nginx-light haproxy wrk ethtool tcpdump curl
	iproute2 procps xdp-tools nsd bind9-dnsutils iperf3 openssl python3-venv make"
policy=/usr/sbin/policy-rc.d
mark="written by pointsman's tools/setup.sh"

refuse() {
	echo "pointsman: $1; $2" >&2
	exit 2
}

installed() {
	[[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) == ?"i " ]]
}

list_missing() {
	local package found=""
	for package in $compilers; do
		if installed "$package"; then found=$package; fi
	done
	missing=""
	if [ -z "$found" ]; then missing=" $compiler"; fi
	for package in $packages; do
		installed "$package" || missing="$missing $package"
	done
}

# nginx, HAProxy and NSD start themselves when installed; here they run in labs only.
forbid_services() {
	if [ -e "$policy" ] && ! grep -q "$mark" "$policy"; then
		return # somebody's own: theirs to keep
	fi
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$policy"
	chmod 755 "$policy"
}

install_missing() {
	local log
	log=$(mktemp -t pointsman-apt.XXXXXX)
	export DEBIAN_FRONTEND=noninteractive
	# Lists may be absent or old; if they can't be had, the ones there may still do.
	apt-get update -qq >"$log" 2>&1 || true
	apt-cache show "$compiler" >/dev/null 2>&1 || missing=${missing/ $compiler/ clang}
	# shellcheck disable=SC2086
	apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 $missing \
		>>"$log" 2>&1 8>&- 9>&- || refuse "apt-get could not install$missing" "see $log"
	rm -f "$log"
}

make_environment() {
	local candidate python=""
	for candidate in python3 python3.13 python3.12 python3.11; do
		if "$candidate" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' \
			2>/dev/null; then
			python=$candidate
			break
		fi
	done
	[ -n "$python" ] || refuse "no Python 3.11 or newer" "apt install python3 python3-venv"
	rm -f .venv/stamp-*
	# One whose interpreter is gone can't be mended.
	.venv/bin/python -c "" 2>/dev/null || rm -rf .venv
	"$python" -m venv .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check -e '.[test]' ||
		refuse "pip could not install the package" "see its messages above"
	touch "$1"
}

# The script is its own lock, for this checkout.
exec 9<tools/setup.sh
flock 9

command -v dpkg-query >/dev/null || refuse "no dpkg-query" "setup needs Debian 12"
list_missing
if [ -n "$missing" ]; then
	[ "$(id -u)" = 0 ] || refuse "packages are missing:$missing" "run as root, or install them"
	# Another checkout may be at it, and take away the policy that keeps services from starting.
	exec 8>/run/lock/pointsman-setup
	flock 8
	(
		forbid_services
		install_missing
	)
	exec 8>&-
fi

stamp=.venv/stamp-$(cat pyproject.toml hatch_build.py | sha256sum | cut -c1-16)
if [ ! -e "$stamp" ] || ! [ -x .venv/bin/python ]; then
	make_environment "$stamp"
fi
