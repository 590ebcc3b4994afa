# The command channel on the second serial port: one line in, one line out. A line may begin with
# "#TAG"; the answer then begins with the same, so that a client can tell late answers apart.
exec 3<>/dev/ttyS1
stty raw -echo <&3

# With all workers standing still nothing changes under the verification.
pause_workload() {
  : >/run/cw/pause
  while [ ! -e /run/cw/memory.idle ] || [ ! -e /run/cw/disk.idle ] ||
    { [ "$hot_pages" -gt 0 ] && [ ! -e /run/cw/hot.idle ]; }; do nap 0.02; done
}

resume_workload() { rm -f /run/cw/pause; }

verify() {
  pause_workload
  bad_memory=$(cat /run/cw/memory/* 2>/dev/null | md5sum -c 2>/dev/null | grep -v ': OK$')
  pool=$(md5sum -c /pool/sums 2>/dev/null | grep -v ': OK$')
  disk_report=$(/lib/disk.sh verify)
  bad_hot=
  [ "$hot_pages" -eq 0 ] || bad_hot=$(/lib/hot.sh verify)
  resume_workload
  good_blocks=${disk_report##*
}
  bad_blocks=${disk_report%"$good_blocks"}
  earlier=$(cat /run/cw/corrupt 2>/dev/null)
  if [ -z "$bad_memory$pool$bad_blocks$bad_hot$earlier" ]; then
    answer="verify ok memory=$memory_files disk=$good_blocks"
  else
    answer="verify FAIL $(echo $bad_memory $pool $bad_blocks $bad_hot $earlier | cut -c1-400)"
  fi
}

# A count is empty for the moment in which its worker writes it again.
count_of() {
  count=
  while [ -z "$count" ]; do count=$(cat "/run/cw/$1.count" 2>/dev/null || echo 0); done
  echo "$count"
}

status() {
  now_cs
  answer="status boot=$(boot_id) uptime=$uptime memory=$(count_of memory) disk=$(count_of disk)"
  [ "$hot_pages" -eq 0 ] || answer="$answer hot=$(count_of hot)"
  [ ! -e /run/cw/stopped ] || answer="$answer stopped"
  [ ! -e /run/cw/corrupt ] || answer="$answer corrupt"
}

# Adds one to one byte of a hot file and leaves its checksum alone: proves that verify can fail.
corrupt_memory() {
  pause_workload
  byte=$(dd if=/hot/0 bs=1 skip=5000 count=1 2>/dev/null | od -An -tu1)
  printf "\\$(printf %03o $(((byte + 1) % 256)))" |
    dd of=/hot/0 bs=1 seek=5000 conv=notrunc 2>/dev/null
  answer="corrupt-memory file=0 offset=5000"
  resume_workload
}

boot=$(boot_id)
beats=0
log "ready boot=$boot"
while read -r line <&3; do
  tag=
  case $line in "#"*" "*)
    tag="${line%% *} "
    line=${line#* }
    ;;
  esac
  case $line in
    ping)
      beats=$((beats + 1))
      answer="pong $beats boot=$boot"
      ;;
    verify) verify ;;
    status) status ;;
    sync)
      sync
      answer="sync ok"
      ;;
    stop-workload)
      : >/run/cw/stopped
      pause_workload
      resume_workload
      answer="stop-workload ok"
      ;;
    start-workload)
      rm -f /run/cw/stopped
      answer="start-workload ok"
      ;;
    "rate memory "* | "rate disk "* | "rate hot "*)
      name=${line#rate }
      echo "${name#* }" >"/run/cw/${name%% *}.rate"
      answer="rate ok"
      ;;
    corrupt-memory) corrupt_memory ;;
    "run "*) answer="run $( (eval "${line#run }") 2>&1 | tr '\n' '|')" ;;
    poweroff)
      pause_workload
      sync
      echo "${tag}poweroff ok" >&3
      poweroff -f
      ;;
    *) answer="unknown $line" ;;
  esac
  echo "$tag$answer" >&3
done
