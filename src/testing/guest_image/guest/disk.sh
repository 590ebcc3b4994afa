#!/bin/busybox sh
# Disk workload: blocks on the raw devices, each with a header line (disk, block, sequence number)
# and content from the pools. A write counts, and is announced on the console as "synced DISK N",
# when it was flushed to the device. /run/cw/disk/DISK/BLOCK holds checksum and sequence number.
# Reads are direct: the guest's page cache must not answer for the device.
. /lib/common.sh

block_bytes=$((disk_block_kib * 1024))
header_bytes=64

# produce KIND OFFSET DISK BLOCK SEQUENCE: writes one block's content to standard output
produce() {
  printf '%-63s\n' "cw disk=$3 block=$4 sequence=$5"
  case $1 in
    zero) set -- /dev/zero 0 ;;
    *) set -- "/pool/$1" "$2" ;;
  esac
  dd if="$1" bs=$((block_bytes - header_bytes)) iflag=skip_bytes skip="$2" count=1 2>/dev/null
}

# block_sum DISK BLOCK: the checksum of what the device holds
block_sum() {
  dd if="/dev/$1" bs=$block_bytes iflag=direct skip="$2" count=1 2>/dev/null | md5sum
}

# check DISK BLOCK: true when the device holds what was written last
check() {
  read -r expected expected_sequence <"/run/cw/disk/$1/$2"
  found=$(block_sum "$1" "$2")
  [ "${found%% *}" = "$expected" ]
}

write_block() {
  next_random 100
  if [ "$random" -lt 50 ]; then kind=random
  elif [ "$random" -lt 90 ]; then kind=text
  else kind=zero; fi
  next_random 1048576
  offset=$random
  sum=$(produce $kind $offset "$1" "$2" "$3" | md5sum)
  produce $kind $offset "$1" "$2" "$3" |
    dd of="/dev/$1" bs=$block_bytes iflag=fullblock seek="$2" conv=notrunc,fsync 2>/dev/null ||
    corrupt "disk $1 block $2 cannot be written"
  echo "${sum%% *} $3" >"/run/cw/disk/$1/$2"
}

# choose_block DISK BLOCKS: mostly the next one, sometimes an earlier one again, sometimes a jump
choose_block() {
  eval "cursor=\${cursor_$1:-0}"
  next_random 100
  if [ "$random" -lt 20 ] && [ "$cursor" -gt 0 ]; then
    next_random "$cursor"
    block=$random
    return
  fi
  if [ "$random" -ge 96 ]; then
    next_random "$2"
    cursor=$random
  fi
  block=$cursor
  eval "cursor_$1=$(((cursor + 1) % $2))"
}

random_state=$((seed + 1000))
case $1 in
  run)
    [ -n "$disks" ] || echo 0 >/run/cw/disk.rate
    sequence=0
    while :; do
      for disk in ${disks:-none}; do
        wait_turn disk "$disk_block_kib"
        mkdir -p "/run/cw/disk/$disk"
        read -r sectors <"/sys/block/$disk/size"
        choose_block "$disk" $((sectors * 512 / block_bytes))
        # Looked at before it is overwritten, or the rewriting would hide a corruption.
        [ ! -e "/run/cw/disk/$disk/$block" ] || check "$disk" "$block" ||
          corrupt "disk $disk block $block"
        sequence=$((sequence + 1))
        write_block "$disk" "$block" $sequence
        echo $sequence >/run/cw/disk.count
        echo "synced $disk $sequence" >/dev/console
      done
    done
    ;;
  verify)
    # Prints the number of good blocks, or the first bad ones.
    good=0
    for disk in $disks; do
      for file in "/run/cw/disk/$disk"/*; do
        [ -e "$file" ] || continue
        block=${file##*/}
        if check "$disk" "$block"; then
          good=$((good + 1))
        else
          echo "disk $disk block $block sequence $expected_sequence"
        fi
      done
    done
    echo $good
    ;;
esac
