# The workload from cw.workload=key=value,key=value on the kernel command line.
memory_mib=32
memory_rate_kib=4096
memory_file_kib=1024
hot_mib=0
hot_rate_kib=4096
disk_rate_kib=500
disk_block_kib=128
seed=1
disks=$(cd /sys/block && echo vd*)
[ "$disks" != 'vd*' ] || disks=

# $IFS splits the list; every value is checked by the host before it comes here.
workload_text=$(kernel_argument cw.workload)
old_ifs=$IFS
IFS=,
for setting in $workload_text; do
  value=${setting#*=}
  case $setting in
    memory=*) memory_mib=$value ;;
    memory-rate=*) memory_rate_kib=$value ;;
    memory-file=*) memory_file_kib=$value ;;
    hot=*) hot_mib=$value ;;
    hot-rate=*) hot_rate_kib=$value ;;
    disk-rate=*) disk_rate_kib=$value ;;
    disk-block=*) disk_block_kib=$value ;;
    seed=*) seed=$value ;;
    disks=*) disks=$(echo "$value" | tr : ' ') ;;
    *) log "unknown workload setting $setting" ;;
  esac
done
IFS=$old_ifs
memory_files=$((memory_mib * 1024 / memory_file_kib))
hot_pages=$((hot_mib * 256))
export memory_mib memory_rate_kib memory_file_kib memory_files disk_rate_kib disk_block_kib
export hot_pages hot_rate_kib seed disks
