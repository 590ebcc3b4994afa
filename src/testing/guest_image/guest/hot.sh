#!/bin/busybox sh
# Hot pages: files of exactly one page in a tmpfs. Only the first line of each is rewritten, page
# after page and round and round, so a page gets dirty for a few changed words; in every pass another
# third of the pages is rewritten with what it holds already. By shell built-ins alone: a process for
# each page would allow 1 MiB/s under TCG, this does 5 to 7 on a busy computer.
. /lib/common.sh

page_bytes=4096
header_bytes=64
turn_pages=64
body_characters=$((page_bytes - header_bytes - 1))

# header PAGE PASS: sets $header to the first line of a page after that pass, without padding
header() {
  value=$(($2 - (($1 + $2) % 3 == 0)))
  [ $value -ge 0 ] || value=0
  header="hot page=$1 value=$value mix=$(((value * 7919 + $1) % 1000003))"
}

# all_pages: their contents, in order
all_pages() {
  awk -v limit="$hot_pages" 'BEGIN { for (page = 0; page < limit; page++) print "/hot/pages/" page }' |
    xargs cat
}

# bodies: the checksum of all that is not rewritten
bodies() { all_pages | awk 'NR % 2 == 0' | md5sum; }

case $1 in
  fill)
    # Random bytes as text: lines can be counted, and three quarters of it are incompressible. Each
    # turn through the pool begins one byte later, so no two pages are equal.
    mkdir -p /hot/pages
    page=0
    skip=0
    while [ $page -lt "$hot_pages" ]; do
      page=$(dd if=/pool/random bs=64k iflag=skip_bytes skip=$skip 2>/dev/null |
        base64 -w $body_characters |
        awk -v page=$page -v limit="$hot_pages" -v whole=$body_characters '
          length($0) == whole && page < limit {
            path = "/hot/pages/" page
            printf "%-63s\n%s\n", "hot page=" page " value=0 mix=" page % 1000003, $0 > path
            close(path)
            page++
          }
          END { print page }')
      skip=$((skip + 1))
    done
    bodies >/run/cw/hot.bodies
    echo "1 0" >/run/cw/hot.place
    ;;
  run)
    read -r pass next </run/cw/hot.place
    count=0
    while :; do
      wait_turn hot $((turn_pages * page_bytes / 1024))
      # One page of each turn is looked at before it is overwritten, or the rewriting would hide a
      # corruption; all of them would cost more than the rewriting.
      header $next $((pass - 1))
      read -r found <"/hot/pages/$next"
      [ "$found" = "$header" ] || corrupt "hot page $next: $found"
      last=$((next + turn_pages))
      [ $last -le "$hot_pages" ] || last=$hot_pages
      count=$((count + last - next))
      # header(), written out: this loop is the load.
      while [ $next -lt $last ]; do
        value=$((pass - ((next + pass) % 3 == 0)))
        printf '%-63s\n' "hot page=$next value=$value mix=$(((value * 7919 + next) % 1000003))" \
          1<>"/hot/pages/$next"
        next=$((next + 1))
      done
      if [ $next -ge "$hot_pages" ]; then
        pass=$((pass + 1))
        next=0
      fi
      echo "$pass $next" >/run/cw/hot.place
      echo $count >/run/cw/hot.count
    done
    ;;
  verify)
    # Prints what is wrong, or nothing; the workload must stand still.
    read -r pass next </run/cw/hot.place
    read -r expected </run/cw/hot.bodies
    [ "$(bodies)" = "$expected" ] || echo "hot bodies"
    all_pages | awk -v pass="$pass" -v next_page="$next" '
      NR % 2 {
        page = (NR - 1) / 2
        done = page < next_page ? pass : pass - 1
        value = done - ((page + done) % 3 == 0)
        if (value < 0) value = 0
        expected = "hot page=" page " value=" value " mix=" (value * 7919 + page) % 1000003
        if (sprintf("%-63s", expected) != $0) print "hot page", page
      }' | head -n 5
    ;;
esac
