#!/bin/busybox sh
# Memory workload: files in a tmpfs, rewritten in place at a set rate; /run/cw/memory/N holds the
# checksum of /hot/N. The checksum is taken from the pool that the content comes from, never from
# what was stored, so a lost page cannot make its own checksum right.
. /lib/common.sh

# The pools are 4 MiB (random) and 2 MiB (text); a slice starts anywhere in the first half, so that
# slices are rarely equal page by page.
# produce KIND OFFSET STAMP: writes one file's content to standard output
produce() {
  case $1 in
    zero) dd if=/dev/zero bs=64k iflag=count_bytes count=$((memory_file_kib * 1024)) ;;
    # Few bytes of every page differ from the last stamp: what a delta encoder lives on.
    stamp) produce text $(($2 & ~4095)) | sed "s/stamp 0000000000/stamp $3/" ;;
    *)
      dd if="/pool/$1" bs=64k iflag=skip_bytes,count_bytes skip="$2" \
        count=$((memory_file_kib * 1024))
      ;;
  esac 2>/dev/null
}

# store INDEX KIND: new content in place, so that the same page frames are written again
store() {
  next_random 1048576
  offset=$random
  next_random 1000000000
  stamp=$((1000000000 + random))
  sum=$(produce "$2" $offset $stamp | md5sum)
  produce "$2" $offset $stamp 1<>"/hot/$1"
  echo "${sum%% *}  /hot/$1" >"/run/cw/memory/$1"
}

choose_kind() {
  next_random 100
  if [ "$random" -lt 45 ]; then kind=random
  elif [ "$random" -lt 75 ]; then kind=text
  elif [ "$random" -lt 83 ]; then kind=stamp
  elif [ "$random" -lt 88 ]; then kind=zero
  else kind=same; fi
}

random_state=$seed
case $1 in
  fill)
    index=0
    while [ $index -lt "$memory_files" ]; do
      choose_kind
      [ $kind != same ] || kind=text
      store $index $kind
      index=$((index + 1))
    done
    ;;
  run)
    [ "$memory_files" -gt 0 ] || echo 0 >/run/cw/memory.rate
    count=0
    while :; do
      wait_turn memory "$memory_file_kib"
      next_random "$memory_files"
      index=$random
      # Looked at before it is overwritten, or the rewriting would hide a corruption.
      md5sum -c "/run/cw/memory/$index" >/dev/null 2>&1 || corrupt "memory file $index"
      choose_kind
      if [ $kind = same ]; then
        # A silent rewrite: pages become dirty and stay equal.
        dd if="/hot/$index" of="/hot/$index" bs=64k conv=notrunc 2>/dev/null
      else
        store "$index" $kind
      fi
      count=$((count + 1))
      echo $count >/run/cw/memory.count
    done
    ;;
esac
