# Shared by all guest scripts. Shell built-ins wherever possible: under TCG a process costs 4 ms.

log() { echo "cw: $*" >/dev/console; }

boot_id() { cat /proc/sys/kernel/random/boot_id; }

# kernel_argument NAME: the value of NAME=value on the kernel command line, or nothing
kernel_argument() {
  for argument in $(cat /proc/cmdline); do
    case $argument in "$1="*) echo "${argument#*=}" ;; esac
  done
}

# now_cs: sets $now_cs, hundredths of a second since boot
now_cs() {
  read -r uptime _ </proc/uptime
  now_cs=${uptime%.*}${uptime#*.}
  now_cs=${now_cs#"${now_cs%%[!0]*}"}
}

# nap SECONDS: sleep without a process, by waiting for a pipe that nobody writes to
nap() {
  [ -p /run/cw/silence ] || mkfifo /run/cw/silence 2>/dev/null
  read -r -t "$1" _ <>/run/cw/silence
}

# next_random LIMIT: sets $random to 0 .. LIMIT-1 from $random_state (a 64-bit LCG, Knuth's MMIX)
next_random() {
  random_state=$((random_state * 6364136223846793005 + 1442695040888963407))
  random=$(((random_state >> 33 & 0x3fffffff) % $1))
}

# wait_turn NAME KIB: keeps to the rate in /run/cw/NAME.rate (KiB/s) when each turn writes KIB.
# Stands still while /run/cw/pause or /run/cw/stopped exists and shows that by /run/cw/NAME.idle.
# The flags are looked at again after NAME.idle went, so whoever sets one and then sees NAME.idle
# knows that no turn is under way.
wait_turn() {
  while :; do
    read -r rate_kib <"/run/cw/$1.rate"
    if [ -e /run/cw/pause ] || [ -e /run/cw/stopped ] || [ "$rate_kib" -eq 0 ]; then
      : >"/run/cw/$1.idle"
      while [ -e /run/cw/pause ] || [ -e /run/cw/stopped ] || [ "$rate_kib" -eq 0 ]; do
        nap 0.1
        read -r rate_kib <"/run/cw/$1.rate"
      done
      rm -f "/run/cw/$1.idle"
      continue
    fi
    now_cs
    wait_cs=$((${due_cs:-0} - now_cs))
    if [ $wait_cs -le 0 ]; then
      # No catching up after a pause: a burst would not be the load that was asked for.
      [ $wait_cs -gt -100 ] || due_cs=$now_cs
      due_cs=$((${due_cs:-$now_cs} + $2 * 100 / rate_kib))
      return
    fi
    [ $wait_cs -lt 20 ] || wait_cs=20
    nap "0.$((wait_cs / 10))$((wait_cs % 10))"
  done
}

# corrupt WHAT: a difference that was found by the guest itself; no later verify is ok again
corrupt() {
  log "CORRUPT $*"
  echo "$*" >>/run/cw/corrupt
}
