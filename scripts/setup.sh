#!/usr/bin/env bash
# Installs the programs that the tests talk to, where that is possible.
source "$(dirname "$0")/lib.sh"

# command or the path of a file, Debian package, what needs it
peers='gcc gcc,libc6-dev the race detector
openssl openssl the OpenSSL client tests
/usr/include/openssl/ssl.h libssl-dev the tests with a C server and the comparison with libssl
curl curl the curl tests
gnutls-cli gnutls-bin the GnuTLS client tests
node nodejs the Node.js client tests
javac JDK the Java client tests
/usr/include/wolfssl/ssl.h libwolfssl-dev the wolfSSL client tests
chromium chromium the browser test
npm npm the browser test
redis-server redis-server the test of a TCP backend
nginx nginx the comparison with nginx'

missing() {
	local command package purpose
	while read -r command package purpose; do
		command -v "$command" >/dev/null || [[ -f $command ]] || printf '%s %s %s\n' "$command" "$package" "$purpose"
	done <<<"$peers"
}

# jdk names the Java development kit of this release of Debian.
jdk() {
	local package
	for package in default-jdk-headless openjdk-17-jdk-headless; do
		if [[ -n $(apt-cache search --names-only "^$package\$") ]]; then
			echo "$package"
			return
		fi
	done
}

install() {
	local packages
	say "installing what is missing: $(missing | cut -d' ' -f1 | xargs)"
	apt-get update -qq </dev/null || return 1
	packages=$(missing | cut -d' ' -f2 | tr ',' '\n' | sed "s/^JDK\$/$(jdk)/" | xargs)
	# shellcheck disable=SC2086 # one word a package
	DEBIAN_FRONTEND=noninteractive timeout 900 \
		apt-get install -y -qq -o DPkg::Lock::Timeout=120 --no-install-recommends $packages </dev/null >/dev/null || return 1
}

# browser_packages brings what interop/browser/package-lock.json pins.
browser_packages() {
	command -v npm >/dev/null || return 0
	[[ interop/browser/node_modules/.package-lock.json -nt interop/browser/package-lock.json ]] && return
	(cd interop/browser && npm ci --no-audit --no-fund --loglevel=error </dev/null) && return
	say 'npm ci failed in interop/browser: without it the browser test cannot run' >&2
	[[ ${CI:-} != true ]] || fail 'with CI=true that is a failure'
}

if [[ -z $(missing) ]]; then
	browser_packages
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	why='there is no apt-get here'
elif [[ $(id -u) != 0 ]]; then
	why='only root can install packages'
elif ! install; then
	why='apt-get failed'
else
	why='its package did not bring it'
fi

browser_packages
left=$(missing)
[[ -n $left ]] || exit 0
while read -r command package purpose; do
	say "no $command (Debian package $(sed "s/^JDK$/default-jdk-headless/; s/,/ /g" <<<"$package")), and $why: without it $purpose cannot run" >&2
done <<<"$left"
if [[ ${CI:-} == true ]]; then
	fail 'with CI=true a missing program is a failure: install the packages named above'
fi
say 'the tests named above will be skipped' >&2
