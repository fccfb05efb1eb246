#!/bin/sh
# Installs the catalyst-migrate executable on Linux or macOS: downloads it from the release, checks
# its SHA-256 checksum and installs it into a directory of the user. `sh install.sh --help` lists the
# options.
#
# The braces around everything make the shell read the whole file before it runs anything, so that a
# truncated download does nothing.
{

usage() {
  cat <<'EOF'
Usage: sh install.sh [OPTIONS] [VERSION]

Downloads the catalyst-migrate executable, checks its SHA-256 checksum and installs it into a
directory of the user. Needs curl or wget, but not root. Without a VERSION (such as 0.1.0) it
installs the latest one.

Options:
  --dir DIR        directory to install into; default ~/.local/bin
  --base-url URL   address of the releases, for a mirror
  -h, --help       show this help

The variables CATALYST_MIGRATE_VERSION, CATALYST_MIGRATE_DIR and CATALYST_MIGRATE_BASE_URL set the
same values; options take precedence.
EOF
}

main() {
  set -u
  version=${CATALYST_MIGRATE_VERSION:-latest}
  dir=${CATALYST_MIGRATE_DIR:-}
  base=${CATALYST_MIGRATE_BASE_URL:-https://github.com/catalyst/migrate/releases}
  with_deno='deno run -A jsr:@catalyst/migrate'
  unchanged='Nothing was installed or changed.'
  work=''

  read_arguments "$@"
  choose_source
  choose_asset
  choose_directory
  choose_tools

  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  make_directories
  download_checked
  install_started
  advise
}

read_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help)
        usage
        exit 0
        ;;
      --dir | --base-url)
        [ -n "${2:-}" ] || misused "$1 needs a value"
        if [ "$1" = --dir ]; then dir=$2; else base=$2; fi
        shift
        ;;
      --dir=?*) dir=${1#*=} ;;
      --base-url=?*) base=${1#*=} ;;
      -*) misused "$1 is not an option, or has no value" ;;
      *) version=$1 ;;
    esac
    shift
  done
}

# The address of the files: `from`; what curl may speak: `protocols`.
choose_source() {
  case $base in
    https://?*) protocols='=https' ;;
    http://?*) protocols='=http,https' ;;
    *) misused "$base is not a web address" ;;
  esac
  base=${base%/}
  version=${version#v}
  case $version in
    latest) from=$base/latest/download ;;
    [!0-9]* | *[!0-9A-Za-z.+-]* | '') misused "$version is not a version such as 0.1.0" ;;
    *) from=$base/download/v$version ;;
  esac
}

# The name of the executable for this machine: `asset`.
choose_asset() {
  system=$(uname -s)
  machine=$(uname -m)
  loader=''
  case $system in
    Darwin)
      # A shell under Rosetta reports x86_64 on an arm64 machine.
      if [ "$(PATH=$PATH:/usr/sbin sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]; then
        machine=arm64
      fi
      ;;
    MINGW* | MSYS* | CYGWIN*)
      fail "Cannot install on Windows: this script is for Linux and macOS" \
        "Use the PowerShell lines of the README: https://github.com/catalyst/migrate#install"
      ;;
  esac
  case $system/$machine in
    Linux/x86_64 | Linux/amd64)
      target=x86_64-unknown-linux-gnu
      loader=/lib64/ld-linux-x86-64.so.2
      ;;
    Linux/aarch64 | Linux/arm64)
      target=aarch64-unknown-linux-gnu
      loader=/lib/ld-linux-aarch64.so.1
      ;;
    Darwin/x86_64) target=x86_64-apple-darwin ;;
    Darwin/arm64) target=aarch64-apple-darwin ;;
    *)
      fail "Cannot install on $system $machine: there are executables for Linux and macOS on \
x86_64 and arm64 (aarch64), and for Windows on x86_64" "Use Deno, if it runs there: $with_deno"
      ;;
  esac
  [ -z "$loader" ] || [ -e "$loader" ] ||
    fail "Cannot install on this system: the executable needs glibc, and $loader is missing, as on \
systems with musl (Alpine) and 32-bit ones" "Use Deno (on Alpine: apk add deno): $with_deno"
  asset=catalyst-migrate-$target
}

choose_directory() {
  # A shell does not expand the tilde in `--dir=~/bin`.
  case $dir in '' | \~/*)
    [ -n "${HOME:-}" ] ||
      fail "Cannot choose a directory: HOME is not set" "Name one: sh install.sh --dir DIR"
    if [ -n "$dir" ]; then dir=$HOME/${dir#??}; else dir=$HOME/.local/bin; fi
    ;;
  esac
  case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
  while [ "$dir" != "${dir%/}" ]; do dir=${dir%/}; done
  existing=$dir
  installed=$dir/catalyst-migrate
  [ ! -d "$installed" ] ||
    fail "Cannot install $installed: a directory has that name" "Choose another with --dir DIR."
}

choose_tools() {
  client='' hasher=''
  for tool in wget curl; do has "$tool" && client=$tool; done
  for tool in openssl shasum sha256sum; do has "$tool" && hasher=$tool; done
  [ -n "$client" ] ||
    fail "Cannot download anything: neither curl nor wget is installed" "Install one of them."
  [ -n "$hasher" ] ||
    fail "Cannot check a download: sha256sum, shasum and openssl are all missing" \
      "Install one of them."
}

# Creates `dir`, and in it a directory for unchecked files: a rename needs one file system.
make_directories() {
  while [ -n "$existing" ] && [ ! -e "$existing" ]; do existing=${existing%/*}; done
  answer=$(mkdir -p "$dir/" 2>&1 && mktemp -d "$dir/.catalyst-migrate.XXXXXX" 2>&1) ||
    fail "Cannot write to $dir/: ${answer##*: }" "Choose a directory that you may write to with --dir DIR."
  work=$answer
}

clean_up() {
  [ -z "$work" ] || rm -rf "$work"
  # Remove directories that were created in vain; rmdir keeps those that are not empty.
  while [ "$dir" != "$existing" ]; do
    rmdir "$dir" 2>/dev/null
    dir=${dir%/*}
  done
}

download_checked() {
  say "Downloading $from/$asset (about 100 MB)"
  download SHA256SUMS
  expected=''
  while read -r sum name || [ -n "$sum" ]; do
    case $name in "$asset" | "*$asset") expected=$sum ;; esac
  done <"$work/SHA256SUMS"
  [ ${#expected} -eq 64 ] ||
    fail "Cannot check $asset: $from/SHA256SUMS has no checksum for it" "$unchanged Try another version."
  download "$asset"
  actual=$(sha256 <"$work/$asset")
  [ "$actual" = "$expected" ] ||
    fail "Cannot trust $from/$asset: its SHA-256 is $actual, and SHA256SUMS says $expected" \
      "$unchanged Try again; if it happens again, please report it: https://github.com/catalyst/migrate"
}

# Downloads a file of the release into `work`.
download() {
  name=$1
  log=$work/log
  code=0
  : >"$log"
  if [ "$client" = wget ]; then
    case $(wget --help 2>&1) in
      *--tries*) set -- -nv --tries=2 --timeout=60 ;;
      *) set -- -q ;; # BusyBox
    esac
    wget "$@" -O "$work/$name" "$from/$name" 2>"$log" || code=$?
  elif [ -t 2 ] && [ "$name" = "$asset" ]; then
    run_curl --progress-bar || code=$?
  else
    run_curl --silent --show-error 2>"$log" || code=$?
  fi
  [ $code -eq 0 ] || {
    answer=$(tail -n 1 "$log")
    fail "Cannot download $from/$name: ${answer:-$client ended with exit code $code}" \
      "$unchanged Check the network, and that the release exists: $base"
  }
}

run_curl() {
  curl "$@" --fail --location --proto "$protocols" --retry 2 --connect-timeout 30 \
    --speed-limit 1 --speed-time 60 --output "$work/$name" "$from/$name"
}

# The checksum of stdin. Without a file name, no name needs to be escaped in the output.
sha256() {
  case $hasher in
    sha256sum) answer=$(sha256sum) ;;
    shasum) answer=$(shasum -a 256) ;;
    openssl) answer=$(openssl dgst -sha256) && answer=${answer##* } ;;
  esac
  echo "${answer%% *}"
}

# Moves the new executable over the old one, if it starts.
install_started() {
  chmod 755 "$work/$asset"
  code=0
  answer=$("$work/$asset" --version 2>&1 </dev/null) || code=$?
  answer=$(printf '%s\n' "$answer" | head -n 1)
  [ $code -eq 0 ] ||
    fail "Cannot start the new executable: exit code $code${answer:+, $answer}" \
      "$unchanged Use Deno: $with_deno"
  reason=$(mv -f "$work/$asset" "$installed" 2>&1) ||
    fail "Cannot replace $installed: ${reason##*: }" "Choose another directory with --dir DIR."
  printf 'Installed %s: %s\n' "$installed" "$answer"
}

# Suggests how to add the directory to PATH, or names another program that comes first.
advise() {
  case :$PATH: in
    *":$dir:"*)
      found=$(command -v catalyst-migrate)
      [ "$found" = "$installed" ] || say "Note: your PATH finds another one first: $found"
      return
      ;;
  esac
  quoted=$(printf '%s\n' "$dir" | sed "s/'/'\\\\''/g")
  line="export PATH='$quoted':\"\$PATH\""
  case ${SHELL:-} in
    */fish) say "To run it by name: fish_add_path '$quoted'" ;;
    */zsh) say "To run it by name, add this line to ~/.zshrc: $line" ;;
    */bash) say "To run it by name, add this line to ~/.bashrc: $line" ;;
    *) say "To run it by name, add this line to ~/.profile: $line" ;;
  esac
}

has() { command -v "$1" >/dev/null 2>&1; }

say() { printf '%s\n' "$1" >&2; }

fail() {
  say "error: $1"
  say "help: $2"
  exit 1
}

misused() {
  say "error: Cannot read the options: $1"
  say "help: sh install.sh --help lists them."
  exit 2
}

main "$@"
}
