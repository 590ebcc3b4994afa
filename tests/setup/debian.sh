#!/bin/sh
# Installs what the tests need on Debian 12 or 13, as root: QEMU 10 and friends, a browser, and a
# kernel for the test guest, which is only unpacked to /var/cache/causeway, not installed.
#
# Asks no questions, changes nothing that is there already (then it takes about 0.1 s), and reads the
# mirror from the machine's own apt sources. It works on copies of Debian's entries with package
# lists of its own: third-party sources that cannot be reached do no harm, and the machine's own
# sources and lists stay as they are.
set -eu

apt_etc=/etc/apt
cache=/var/cache/causeway
apt_home=$cache/apt
kernel_home=$cache/kernel
qemu_major_wanted=10

say() { echo "setup: $*"; }

# fail CAUSE HINT
fail() {
  echo "setup: Cannot prepare the tests: $1" >&2
  echo "setup: $2" >&2
  exit 1
}

check_system() {
  [ -r /etc/os-release ] || fail "this is not Debian" "Install the packages named in this script"
  # Sets ID, VERSION_ID and VERSION_CODENAME; testing and unstable have no VERSION_ID.
  . /etc/os-release
  [ "${ID:-}" = debian ] ||
    fail "this is ${PRETTY_NAME:-not Debian}" "Install the packages named in this script"
  codename=${VERSION_CODENAME:-sid}
  case ${VERSION_ID:-testing} in
    12) backports=$codename-backports ;;
    13 | testing) backports= ;;
    *) fail "Debian ${VERSION_ID} is not known to have QEMU 10" "Use Debian 12 or 13" ;;
  esac
  [ "$(uname -m)" = x86_64 ] || fail "the machine is $(uname -m)" "The test guest is x86-64"
}

have() { command -v "$1" >/dev/null 2>&1; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

have_qemu() {
  have qemu-system-x86_64 || return 1
  version=$(qemu-system-x86_64 --version | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
  [ "${version:-0}" -ge $qemu_major_wanted ]
}

have_kernel() {
  for image in "$kernel_home"/boot/vmlinuz-*-cloud-amd64 /boot/vmlinuz-*-cloud-amd64; do
    [ -e "$image" ] || continue
    release=${image##*/vmlinuz-}
    root=${image%/boot/*}
    for modules in "$root/lib/modules/$release/kernel" "$root/usr/lib/modules/$release/kernel"; do
      [ ! -d "$modules" ] || return 0
    done
  done
  return 1
}

# Each requirement by itself, so that what is there is left alone whatever else is missing.
find_missing() {
  missing=
  missing_qemu=
  have cpio || missing="$missing cpio"
  have xz || missing="$missing xz-utils"
  have ip || missing="$missing iproute2"
  have nft || missing="$missing nftables"
  have chromium || missing="$missing chromium"
  have iperf3 || missing="$missing iperf3"
  have nbdkit || missing="$missing nbdkit"
  { have nbdinfo && have nbdcopy; } || missing="$missing libnbd-bin"
  have ping || missing="$missing iputils-ping"
  { have named && have tsig-keygen; } || missing="$missing bind9"
  { have nsupdate && have dig; } || missing="$missing bind9-dnsutils"
  installed busybox-static || missing="$missing busybox-static"
  have_qemu || missing_qemu="$missing_qemu qemu-system-x86"
  { have qemu-img && have qemu-nbd && have qemu-io; } || missing_qemu="$missing_qemu qemu-utils"
  missing_kernel=
  have_kernel || missing_kernel=yes
  [ -n "$missing$missing_qemu$missing_kernel" ]
}

# concatenate FILE...: those that exist, with an empty line after each
concatenate() {
  for file in "$@"; do
    [ -r "$file" ] || continue
    cat "$file"
    echo
  done
}

# Debian's own entries, found by the last part of the address and the suite, in both forms that apt
# knows; from the entry of the release itself also one for backports, unless there is one.
write_sources() {
  rm -rf "$apt_home"
  mkdir -p "$apt_home/sources" "$apt_home/lists/partial" "$apt_home/archives/partial"
  concatenate "$apt_etc/sources.list" "$apt_etc"/sources.list.d/*.list | awk -v codename="$codename" -v backports="$backports" '
    function is_debian(uri) { return uri ~ /\/debian(-security)?(\.list)?\/?$/ }
    /^[ \t]*deb[ \t]/ {
      options = ""
      if (match($0, /\[[^]]*\]/)) {
        options = substr($0, RSTART, RLENGTH) " "
        $0 = substr($0, 1, RSTART - 1) substr($0, RSTART + RLENGTH)
      }
      if (!is_debian($2) || index($3, codename) != 1) next
      if ($0 !~ /[ \t]main([ \t]|$)/) next
      print "deb " options $2 " " $3 " main"
      if ($3 == codename) base = "deb " options $2 " " backports " main"
      if ($3 == backports) has_backports = 1
    }
    END { if (backports != "" && base != "" && !has_backports) print base }
  ' >"$apt_home/sources/debian.list"
  concatenate "$apt_etc"/sources.list.d/*.sources | awk -v codename="$codename" -v backports="$backports" '
    function find(name) {
      return match(tolower(stanza), "(^|\n)" name ":[^\n]*(\n[ \t][^\n]*)*")
    }
    function field(name, value) {
      if (!find(name)) return ""
      value = substr(stanza, RSTART, RLENGTH)
      sub(/^\n?[^:]*:/, "", value)
      gsub(/[ \t\n]+/, " ", value)
      return value " "
    }
    BEGIN { RS = "" }
    {
      stanza = $0
      gsub(/(^|\n)#[^\n]*/, "", stanza)
      sub(/^\n+/, "", stanza)
      suites = field("suites")
      if (tolower(field("enabled")) ~ /no/ || field("types") !~ / deb /) next
      if (field("uris") !~ /\/debian(-security)?(\.list)?\/? /) next
      if (index(suites, " " codename) == 0 || field("components") !~ / main /) next
      print stanza "\n"
      if (index(suites, " " backports " ") != 0) has_backports = 1
      if (index(suites, " " codename " ") == 0 || field("uris") ~ /security/) next
      find("suites")
      base = substr(stanza, 1, RSTART - 1) "\nSuites: " backports substr(stanza, RSTART + RLENGTH)
      sub(/^\n/, "", base)
    }
    END { if (backports != "" && base != "" && !has_backports) print base "\n" }
  ' >"$apt_home/sources/debian.sources"
  grep -qE "(^|[ :])$codename( |\$)" "$apt_home/sources/debian.list" \
    "$apt_home/sources/debian.sources" ||
    fail "apt's sources name no Debian mirror for $codename" \
      "Add the release's own entry to /etc/apt/sources.list.d/debian.sources"
}

# apt with those sources; proxies and keys of the machine's configuration stay in force
apt() {
  command=$1
  shift
  "apt-$command" -q \
    -o Dir::Etc::sourcelist=/dev/null \
    -o Dir::Etc::sourceparts="$apt_home/sources" \
    -o Dir::State::lists="$apt_home/lists" \
    -o Dir::Cache::archives="$apt_home/archives" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
    -o Acquire::Retries=3 -o Acquire::http::Timeout=30 \
    -o APT::Sandbox::User=root \
    -o DPkg::Lock::Timeout=300 \
    "$@"
}

# A package that brings a service with it (bind9) must not start that here, now or at the next boot.
without_services() {
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  had_named=$(have named && echo yes || true)
  "$@"
  if [ -z "$had_named" ] && have named && [ -d /run/systemd/system ]; then
    systemctl -q disable named.service || say "named.service is enabled: disable it if you like"
  fi
}

install() {
  say "installing $*"
  apt get -y --no-install-recommends -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold \
    install "$@" ||
    fail "apt could not install $*" "Its messages are above"
}

unpack_kernel() {
  package=$(apt cache depends linux-image-cloud-amd64 |
    sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
  [ -n "$package" ] || fail "the mirror has no linux-image-cloud-amd64" "Try again later"
  say "unpacking $package to $kernel_home"
  work=$cache/kernel.new
  rm -rf "$work"
  mkdir -p "$work/package" "$work/root"
  (cd "$work/package" && apt get download "$package") ||
    fail "apt could not fetch $package" "Its messages are above"
  dpkg-deb -x "$work/package/"*.deb "$work/root"
  rm -rf "$kernel_home"
  mv "$work/root" "$kernel_home"
  chmod 755 "$kernel_home"
  rm -rf "$work"
}

main() {
  check_system
  if ! find_missing; then
    say "everything is there"
    return
  fi
  [ "$(id -u)" = 0 ] || fail "not running as root" "Run: sudo sh tests/setup/debian.sh"
  # Two test runs at once must not install at once.
  mkdir -p "$cache"
  exec 9>"$cache/setup.lock"
  flock 9
  find_missing || return 0
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C
  say "missing:$missing$missing_qemu${missing_kernel:+ a kernel for the guest}"
  write_sources
  apt get -o APT::Update::Error-Mode=any update ||
    fail "Debian's mirror cannot be read" "Check network, proxy and clock; nothing was installed"
  [ -z "$missing" ] || without_services install $missing
  # From backports only QEMU and what it cannot do without.
  [ -z "$missing_qemu" ] || install ${backports:+-t "$backports"} $missing_qemu
  [ -z "$missing_kernel" ] || unpack_kernel
  rm -rf "$apt_home"
  if find_missing; then
    fail "still missing:$missing$missing_qemu${missing_kernel:+ a kernel for the guest}" \
      "apt's messages are above"
  fi
  say "done"
}

case $# in
  0) main ;;
  # For the test of this script: print what would be used instead of a folder's entries.
  3)
    apt_etc=$1
    codename=$2
    backports=$3
    apt_home=$(mktemp -d)
    trap 'rm -rf "$apt_home"' EXIT
    write_sources
    cat "$apt_home/sources/"*
    ;;
  *) fail "it takes no arguments" "Run: sudo sh tests/setup/debian.sh" ;;
esac
