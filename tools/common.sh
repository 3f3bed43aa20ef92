# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What tools/bench, tools/check, tools/demo and .ci/run share. The one that sources it has set -euo pipefail.

# The name that messages begin with.
program=${program:-caufs}

# shellcheck disable=SC2034
build_packages=(gcc libc6-dev meson ninja-build pkg-config libfuse3-dev fuse3 libglib2.0-dev libsqlite3-dev
  libzstd-dev libssl-dev libxxhash-dev libjson-glib-dev)
# shellcheck disable=SC2034
test_packages=(libcmocka-dev python3 rsync tar ed vim-tiny attr strace util-linux e2fsprogs procps
  systemd)

# The runtime of its sanitizers and of libFuzzer is in a package that has clang's version in its name: cau_need_clang.
# shellcheck disable=SC2034
fuzz_packages=(clang)

# cau_die MESSAGE...: each argument is a line.
cau_die() {
  printf '%s: %s\n' "$program" "$1" >&2
  shift
  [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
  exit 1
}

cau_say() {
  printf '%s: %s\n' "$program" "$*"
}

# cau_missing_packages PACKAGE...: prints those that are not installed.
cau_missing_packages() {
  local package
  for package; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf '%s\n' "$package"
  done
}

# cau_apt_install PREFIX PACKAGE...: PREFIX is sudo or empty. The package lists are fetched only when the
# install fails without.
cau_apt_install() {
  local prefix=$1
  local -a install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${@:2}")
  # The prefix may be empty: unquoted on purpose.
  # shellcheck disable=SC2086
  $prefix "${install[@]}" </dev/null || { $prefix apt-get update && $prefix "${install[@]}" </dev/null; }
}

# cau_need_packages PACKAGE...: installs those that are missing, or says which they are and ends.
cau_need_packages() {
  local -a missing
  local prefix=
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    cau_say "this system has no apt; going on with what is installed. On Debian these are needed: $*"
    return
  fi
  mapfile -t missing < <(cau_missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    # Without a terminal sudo cannot ask for a password.
    if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
      cau_die "these packages are missing, and installing them needs root: ${missing[*]}" \
        "As root: apt-get install ${missing[*]}" "Then start $program again."
    fi
    prefix=sudo
  fi
  cau_say "installing ${missing[*]}"
  cau_apt_install "$prefix" "${missing[@]}" \
    || cau_die "apt-get could not install these packages, for the reason it gave above: ${missing[*]}" \
      "Install them in another way, then start $program again."
}

# Installs clang, and what libFuzzer needs beside it: a package of its own since Debian 12, within clang's before.
cau_need_clang() {
  local version
  cau_need_packages "${fuzz_packages[@]}"
  command -v clang >/dev/null || cau_die "clang is missing, which has libFuzzer"
  version=$(clang -dumpversion)
  version=${version%%.*}
  if command -v apt-cache >/dev/null && apt-cache show "libclang-rt-$version-dev" >/dev/null 2>&1; then
    cau_need_packages "libclang-rt-$version-dev"
  fi
}

# Prints a prefix for commands, one word a line, under which addresses are not random, where that is allowed: the sanitizers of
# older compilers do not find room for their memory on kernels that make them very random.
cau_fixed_addresses() {
  local machine
  machine=$(uname -m)
  if setarch "$machine" -R true 2>/dev/null; then
    printf '%s\n' setarch "$machine" -R
  fi
}

# fusermount3 unmounts for users other than root only what it finds in /etc/mtab, which a new chroot lacks.
cau_need_mtab() {
  [ ! -e /etc/mtab ] || return 0
  if [ "$(id -u)" -eq 0 ] && ln -s ../proc/self/mounts /etc/mtab; then
    cau_say "made /etc/mtab, which was missing, a link to /proc/self/mounts"
  else
    cau_die "/etc/mtab is missing, so fusermount3 cannot unmount" "As root: ln -s ../proc/self/mounts /etc/mtab"
  fi
}

# Ends when this user cannot mount a FUSE filesystem here.
cau_need_fuse() {
  [ -r /proc/self/mountinfo ] \
    || cau_die "/proc is not mounted" "As root: mount -t proc proc /proc"
  if [ ! -e /dev/fuse ] && [ "$(id -u)" -eq 0 ] && command -v modprobe >/dev/null; then
    modprobe fuse 2>/dev/null || :
  fi
  [ -e /dev/fuse ] \
    || cau_die "/dev/fuse is missing, so nothing can be mounted" \
      "On a machine of its own, as root: modprobe fuse" \
      "In a container: start it with --device /dev/fuse --cap-add SYS_ADMIN" \
      "In a chroot: make the host's /dev/fuse available in it"
  (: <>/dev/fuse) 2>/dev/null \
    || cau_die "/dev/fuse may not be opened by $(id -un), so nothing can be mounted" \
      "In a container: start it with --device /dev/fuse --cap-add SYS_ADMIN" \
      "Otherwise, as root: chmod 666 /dev/fuse"
  # The programs in sbin folders are not in everyone's PATH, this one is in bin.
  command -v fusermount3 >/dev/null || cau_die "fusermount3 is missing" "Install the package fuse3."
  if [ "$(id -u)" -ne 0 ] && [ ! -u "$(command -v fusermount3)" ]; then
    cau_die "fusermount3 lacks its set-user-ID bit, so only root can mount" \
      "As root: chmod u+s $(command -v fusermount3)"
  fi
}

cau_child=

# cau_run COMMAND...: runs it in the background and waits for it, because bash runs no trap while it waits for a
# program in the foreground. Its standard input is empty.
cau_run() {
  local status=0
  "$@" </dev/null &
  cau_child=$!
  wait "$cau_child" || status=$?
  cau_child=
  return "$status"
}

# Ends what cau_run is running, if anything. For traps.
cau_end_child() {
  if [ -n "$cau_child" ] && kill -TERM "$cau_child" 2>/dev/null; then
    wait "$cau_child" || :
  fi
}

# cau_build SOURCE BUILD [MESON-OPTION...]: builds, in a build folder that is there already or a new one.
cau_build() {
  local source=$1 build=$2
  shift 2
  [ ! -e "$build" ] || [ -w "$build" ] \
    || cau_die "$build belongs to $(stat -c %U "$build") and cannot be written by $(id -un)" \
      "As root: rm -r $build"
  [ -e "$build" ] || [ -w "$(dirname "$build")" ] \
    || cau_die "$(dirname "$build") cannot be written by $(id -un), so nothing can be built there" \
      "Copy the sources to a folder of your own and start $program there."
  if [ ! -f "$build/build.ninja" ]; then
    cau_run meson setup "$build" "$source" "$@"
  elif [ $# -gt 0 ]; then
    meson configure "$build" "$@"
  fi
  # Not meson compile, which would leave ninja running when it is ended.
  cau_run ninja -C "$build"
}

tmp=
memory=

# cau_make_folders NAME: makes $tmp, a folder for temporary files, and $memory, one for files whose syncs shall cost nothing; it is
# $tmp where there is no folder in memory. What is started from here makes its own ones in them.
cau_make_folders() {
  tmp=$(mktemp -d "${TMPDIR:-/tmp}/$1.XXXXXX")
  # Tests that act as another user have to pass through it.
  chmod 755 "$tmp"
  memory=$tmp
  if [ -w "${CAU_MEMORY_DIR:-/dev/shm}" ]; then
    memory=$(mktemp -d "${CAU_MEMORY_DIR:-/dev/shm}/$1.XXXXXX")
  fi
  export TMPDIR=$tmp CAU_MEMORY_DIR=$memory
}

# Takes away what cau_make_folders made, if it did. For traps.
cau_remove_folders() {
  local folder
  for folder in ${memory:+"$memory"} ${tmp:+"$tmp"}; do
    cau_clean_up "$folder"
  done
}

# cau_mounts_below FOLDER: prints the mountpoints of the mounts that lie below it, and of the caufs mounts whose store does,
# newest first. mountinfo escapes blanks, tabs, newlines and backslashes as octal numbers.
cau_mounts_below() {
  local folder=$1 line mountpoint source
  local -a fields
  tac /proc/self/mountinfo | while read -r line; do
    read -ra fields <<<"$line"
    printf -v mountpoint '%b' "${fields[4]//\\/\\0}"
    read -ra fields <<<"${line##* - }"
    source=
    [ "${fields[0]}" != fuse.caufs ] || printf -v source '%b' "${fields[1]//\\/\\0}"
    case "$mountpoint|$source" in
      "$folder"/*'|'* | *'|'"$folder"/* | *'|'*:"$folder"/*) printf '%s\n' "$mountpoint" ;;
    esac
  done
}

# cau_processes_below FOLDER: prints the ids of the caufs processes that were started with a path below it, or
# with it as TMPDIR.
cau_processes_below() {
  local folder=$1 process
  for process in /proc/[0-9]*; do
    if [ "$(cat "$process/comm" 2>/dev/null)" = caufs ] \
      && { grep -qszF -e "$folder/" "$process/cmdline" || grep -qszFx -e "TMPDIR=$folder" "$process/environ"; }; then
      printf '%s\n' "${process#/proc/}"
    fi
  done
}

# cau_wait_for_none COMMAND...: waits up to ten seconds until it prints nothing.
cau_wait_for_none() {
  local tries=100
  while [ -n "$("$@")" ] && [ $((tries -= 1)) -gt 0 ]; do
    sleep 0.1
  done
}

cau_unmount() {
  fusermount3 -u -z -- "$1" 2>/dev/null || umount -l -- "$1"
}

# cau_clean_up FOLDER: takes away the mounts and processes below it, by name and id, and the folder itself.
cau_clean_up() {
  local folder=$1 mountpoint process
  cau_mounts_below "$folder" | while read -r mountpoint; do
    cau_unmount "$mountpoint" || :
  done
  cau_wait_for_none cau_processes_below "$folder"
  for process in $(cau_processes_below "$folder"); do
    kill -KILL "$process" 2>/dev/null || :
  done
  cau_wait_for_none cau_processes_below "$folder"
  rm -rf --one-file-system -- "$folder"
}
